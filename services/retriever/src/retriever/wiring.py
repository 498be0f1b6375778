"""Collaborators that both processes, the server and the worker, are built from."""

import sqlalchemy as sa

from retriever.adapters import photo_work
from retriever.adapters.milvus.index import MilvusIndex
from retriever.adapters.photos import PhotoStore
from retriever.backup.archive.former import FormerBackup
from retriever.ports.generations import RowsRecord
from retriever.record.tables import jobs, metadata, products
from retriever.search.recall.watchdog import Watchdog
from retriever.settings import RetrieverSettings
from servicekit.backups.store import Backups
from servicekit.decoding import Decoders
from servicekit.fetch import Fetcher, FetchPolicy
from servicekit.jobs import Jobs
from servicekit.keyring import SigningKeys, signing_keys
from servicekit.migrations import settle
from servicekit.sql import Database
from sightline_rules.fields import FIELDS, FieldTableError, check_columns
from sightline_rules.photos import PhotoLimits


def database(settings: RetrieverSettings) -> Database:
    """Return the record's store, once its schema is up to date. Blocks until then.

    Raises SystemExit if the store lacks a column of the table of fields.
    """
    db = Database(
        settings.database_url.get_secret_value(), migrations="retriever.record.migrations"
    )
    settle(db, metadata, settings)
    columns = {column["name"] for column in sa.inspect(db.engine).get_columns(products.name)}
    try:
        check_columns(FIELDS, stored=columns)
    except FieldTableError as error:
        raise SystemExit(f"does not start: {error}") from error
    return db


def job_queue(db: Database) -> Jobs:
    """Return the record's jobs."""
    return Jobs(db, jobs)


def photo_store(settings: RetrieverSettings) -> PhotoStore:
    """Return the store of photos, its processes not started yet.

    Raises SystemExit if memory does not suffice for them.
    """
    limits = PhotoLimits(settings.image_max_bytes, settings.image_max_pixels)
    decoders = Decoders.of(settings, photo_work.__name__, settings.image_max_bytes)
    fetcher = Fetcher(FetchPolicy.of(settings, settings.image_max_bytes))
    return PhotoStore(settings.photos_url, limits=limits, decoders=decoders, fetcher=fetcher)


def backup_files(settings: RetrieverSettings) -> Backups:
    """Return the store of backups. Raises Unreadable."""
    keys = backup_keys(settings)
    return Backups(settings.backups, "retriever", keys, former_reader=FormerBackup)


def backup_keys(settings: RetrieverSettings) -> SigningKeys:
    """Return the keys that sign backups. Raises Unreadable."""
    return signing_keys(settings.backup_keys_file)


def watch(settings: RetrieverSettings, record: RowsRecord) -> Watchdog:
    """Return the watchdog of live searches."""
    return Watchdog(
        record, share=settings.watch_share, floor=settings.watch_floor, rows=settings.watch_rows
    )


def milvus_index(settings: RetrieverSettings) -> MilvusIndex:
    """Return the engine's client. Requires a running event loop."""
    return MilvusIndex(
        settings.milvus_uri,
        token=settings.milvus_token.get_secret_value(),
        seconds=settings.milvus_seconds,
    )
