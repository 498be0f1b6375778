"""Collaborators that both processes, the server and the worker, are built from."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from retriever.adapters import photo_work
from retriever.adapters.face_finder import EmbedderFaces
from retriever.adapters.milvus.index import MilvusIndex
from retriever.adapters.photos import PhotoStore
from retriever.catalog.registry import RecordedCatalogs
from retriever.domain.faces import FacePolicy
from retriever.record import Record
from retriever.record.tables import jobs, metadata, products
from retriever.search.recall.watchdog import Watchdog
from retriever.settings import RetrieverSettings
from servicekit.admission.access import PeerName
from servicekit.artefacts.backups import Backups
from servicekit.catalogs.known import KnownCatalogs
from servicekit.decoding.decoders import Decoders
from servicekit.jobs.queue import Jobs
from servicekit.keys.keyring import SigningKeys, signing_keys
from servicekit.outbound.fetch import Fetcher, FetchPolicy
from servicekit.rpc.peers import NO_CREDENTIALS, PeerCredentials
from servicekit.sql.database import Database
from servicekit.sql.migrations import settle
from servicekit.watched_files import Unreadable
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


def known_catalogs(settings: RetrieverSettings, record: Record) -> KnownCatalogs:
    """Return the catalogs of settings and record."""
    return KnownCatalogs(settings.catalogs, RecordedCatalogs(record))


def photo_store(settings: RetrieverSettings) -> PhotoStore:
    """Return the store of photos, its processes not started yet.

    Raises SystemExit if memory does not suffice for them.
    """
    limits = PhotoLimits(settings.image_max_bytes, settings.image_max_pixels)
    decoders = Decoders.of(settings, photo_work.__name__, settings.image_max_bytes)
    fetcher = Fetcher(FetchPolicy.of(settings, settings.image_max_bytes))
    return PhotoStore(settings.photos_url, limits=limits, decoders=decoders, fetcher=fetcher)


def to_embedder(settings: RetrieverSettings) -> PeerCredentials:
    """Return the credentials for calls to the embedder. Raises Unreadable."""
    return PeerCredentials.of(settings).calling(PeerName.EMBEDDER)


def to_face_finder(settings: RetrieverSettings) -> PeerCredentials:
    """Return the credentials of the server for calls to the embedder; none where it has no key for
    it, unless faces need one. Raises Unreadable."""
    try:
        return to_embedder(settings)
    except Unreadable:
        if face_policies(settings):
            raise
        return NO_CREDENTIALS


def face_finder(settings: RetrieverSettings) -> EmbedderFaces:
    """Return the finder of faces. Requires a running event loop. Raises Unreadable."""
    return EmbedderFaces(settings.embedder_target, to_face_finder(settings))


def face_policies(settings: RetrieverSettings) -> Mapping[str, FacePolicy]:
    """Return what is done with faces, by catalog."""
    blurred = dict.fromkeys(settings.blur_faces, FacePolicy.BLURRED)
    return blurred | dict.fromkeys(settings.refuse_faces, FacePolicy.REFUSED)


def backup_files(settings: RetrieverSettings) -> Backups:
    """Return the store of backups. Raises Unreadable."""
    keys = backup_keys(settings)
    return Backups(settings.backups, "retriever", keys)


def backup_keys(settings: RetrieverSettings) -> SigningKeys:
    """Return the keys that sign backups. Raises Unreadable."""
    return signing_keys(settings.backup_keys_file)


def watch(settings: RetrieverSettings, record: Record) -> Watchdog:
    """Return the watchdog of live searches."""
    return Watchdog(
        record, share=settings.watch_share, floor=settings.watch_floor, rows=settings.watch_rows
    )


def milvus_authority(settings: RetrieverSettings) -> Path | None:
    """Return the file of the engine's authority. Raises Unreadable."""
    path = settings.milvus_ca_file
    try:
        if path is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
                cadata=path.read_text("ascii")
            )
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} can't be read as certificates in PEM: {error}") from error
    return path


def milvus_index(settings: RetrieverSettings) -> MilvusIndex:
    """Return the engine's client. Requires a running event loop. Raises Unreadable."""
    return MilvusIndex(
        settings.milvus_uri,
        token=settings.milvus_token.get_secret_value(),
        ca_file=milvus_authority(settings),
        seconds=settings.milvus_seconds,
    )
