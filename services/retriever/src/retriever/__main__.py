"""The retriever's server: `python -m retriever`. Its worker is `python -m retriever.worker`."""

from __future__ import annotations

from retriever.milvus import MilvusIndex
from retriever.photos import PhotoStore
from retriever.record import Record
from retriever.servicer import (
    PRODUCT_SERVICE,
    VECTOR_SERVICE,
    ProductServicer,
    VectorServicer,
)
from retriever.settings import Settings
from servicekit.config import load
from servicekit.server import Binding, run, serve
from servicekit.sql import Database
from servicekit.telemetry import configure_logging
from sightline.retriever.v1 import product_service_pb2_grpc, vector_service_pb2_grpc
from sightline_rules.photos import PhotoLimits


def bindings(
    settings: Settings, record: Record, photos: PhotoStore, index: MilvusIndex
) -> list[Binding]:
    """What the server offers."""
    return [
        Binding(
            product_service_pb2_grpc.add_ProductServiceServicer_to_server,
            ProductServicer(settings.catalogs, record, photos),
            PRODUCT_SERVICE,
        ),
        Binding(
            vector_service_pb2_grpc.add_VectorServiceServicer_to_server,
            VectorServicer(settings.catalogs, record, index, settings.milvus_seconds),
            VECTOR_SERVICE,
        ),
    ]


def database(settings: Settings) -> Database:
    """The record's store, with its schema brought up to date."""
    db = Database(settings.database_url.get_secret_value(), migrations="retriever.migrations")
    db.migrate()
    return db


def photo_store(settings: Settings) -> PhotoStore:
    """The store of photos."""
    limits = PhotoLimits(settings.image_max_bytes, settings.image_max_pixels)
    return PhotoStore(settings.photos_url, limits=limits, threads=settings.decode_threads)


def milvus_index(settings: Settings) -> MilvusIndex:
    """The engine's client. To be called where an event loop runs."""
    return MilvusIndex(
        settings.milvus_uri,
        token=settings.milvus_token.get_secret_value(),
        seconds=settings.milvus_seconds,
    )


async def main(settings: Settings) -> None:
    """Serve until SIGTERM."""
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)

    async def close() -> None:
        await index.close()
        photos.close()
        db.close()

    offered = bindings(settings, Record(db), photos, index)
    await serve(offered, settings, service="retriever", on_stop=close)


if __name__ == "__main__":
    configured = load(Settings)
    configure_logging("retriever", configured.log_level)
    run(main(configured))
