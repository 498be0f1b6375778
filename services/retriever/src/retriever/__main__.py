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
from retriever.wiring import database, milvus_index, photo_store
from servicekit.config import load
from servicekit.server import Binding, run, serve
from servicekit.telemetry import configure_logging
from sightline.retriever.v1 import product_service_pb2_grpc, vector_service_pb2_grpc


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
            VectorServicer(
                settings.catalogs, record, index, settings.milvus_seconds, spaces=settings.spaces
            ),
            VECTOR_SERVICE,
        ),
    ]


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
