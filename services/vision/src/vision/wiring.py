"""Collaborators that both processes, the server and the worker, are built from."""

from collections.abc import Collection
from dataclasses import dataclass

import grpc

from servicekit.admission.access import PeerName
from servicekit.artefacts.backups import Backups
from servicekit.catalogs.known import KnownCatalogs
from servicekit.clock import now_micros
from servicekit.decoding.decoders import Decoders
from servicekit.jobs.queue import Jobs
from servicekit.keys.keyring import SigningKeys, signing_keys
from servicekit.outbound.fetch import Fetcher, FetchPolicy
from servicekit.outbound.posting import Poster
from servicekit.rpc.catalog_registry import RemoteRegistry
from servicekit.rpc.channel import connect
from servicekit.rpc.peers import PeerCredentials
from servicekit.sql.database import Database
from servicekit.sql.migrations import settle
from sightline_rules.photos import PhotoLimits
from vision.adapters import photo_work
from vision.adapters.embedder import EmbedderFrames
from vision.adapters.patches import EmbedderPatches
from vision.adapters.peer_calls import RETRIEVER_CALLS
from vision.adapters.photos import PhotoStore
from vision.adapters.product_vectors import RetrieverVectors
from vision.adapters.ranker import RankerSales
from vision.delivery.deliverer import Deliverer
from vision.domain.catalog_keys import keys_of
from vision.domain.deliveries import RetryRules
from vision.inspection.files import ReferenceFiles
from vision.inspection.references import References
from vision.record import Record, metadata
from vision.record.tables import jobs
from vision.settings import VisionServerSettings, VisionSettings
from vision.watching.faces import BlurredFrames
from vision.watching.frames import FrameChecks
from vision.watching.snapshots import SnapshotPoller

MIGRATIONS = "vision.record.migrations"


def database(settings: VisionSettings) -> Database:
    """Return the record's store, once its schema is up to date. Blocks until then."""
    db = Database(settings.database_url.get_secret_value(), migrations=MIGRATIONS)
    settle(db, metadata, settings)
    return db


def job_queue(db: Database) -> Jobs:
    """Return the record's jobs."""
    return Jobs(db, jobs)


def to_retriever(settings: VisionSettings) -> PeerCredentials:
    """Return the credentials for calls to the retriever. Raises Unreadable."""
    return PeerCredentials.of(settings).calling(PeerName.RETRIEVER)


def to_embedder(settings: VisionSettings) -> PeerCredentials:
    """Return the credentials for calls to the embedder. Raises Unreadable."""
    return PeerCredentials.of(settings).calling(PeerName.EMBEDDER)


def to_ranker(settings: VisionServerSettings) -> PeerCredentials:
    """Return the credentials for calls to the ranker. Raises Unreadable."""
    return PeerCredentials.of(settings).calling(PeerName.RANKER)


def backup_keys(settings: VisionSettings) -> SigningKeys:
    """Return the keys that sign backups. Raises Unreadable."""
    return signing_keys(settings.backup_keys_file)


def backup_files(settings: VisionSettings) -> Backups:
    """Return the store of backups. Raises Unreadable."""
    return Backups(settings.backups, "vision", backup_keys(settings))


def webhook_keys(settings: VisionSettings) -> SigningKeys:
    """Return the keys that secrets of webhooks are derived from. Raises Unreadable."""
    return signing_keys(settings.webhook_keys_file)


CHECKS = (PeerCredentials.of, to_embedder, to_retriever, backup_keys, webhook_keys)
"""Readers of the files that settings name, called at the start."""
SERVER_CHECKS = (*CHECKS, to_ranker)
"""Readers of the files that the server's settings name."""


def snapshot_fetcher(settings: VisionSettings) -> Fetcher:
    """Return what fetches frames of watches."""
    private = settings.snapshot_networks
    return Fetcher(FetchPolicy.of(settings, settings.image_max_bytes, private))


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a process: its record, its photos, and the other services."""

    channel: grpc.aio.Channel
    """To the retriever."""
    catalogs: KnownCatalogs
    record: Record
    photos: PhotoStore
    embedder: EmbedderFrames
    checks: FrameChecks
    patches: EmbedderPatches
    references: References

    @classmethod
    def of(cls, settings: VisionSettings, db: Database) -> "Parts":
        """Connect the parts. Requires a running event loop. Raises Unreadable, and SystemExit if
        memory does not suffice for decoding."""
        channel = connect(
            settings.retriever_target, peers=to_retriever(settings), service_configs=RETRIEVER_CALLS
        )
        file = settings.catalogs_file
        catalogs = KnownCatalogs(settings.catalogs, RemoteRegistry(channel), file=file)
        key_of = keys_of(catalogs)
        record = Record(db, now_micros, key_of)
        photos = PhotoStore(
            settings.photos_url,
            limits=PhotoLimits(settings.image_max_bytes, settings.image_max_pixels),
            decoders=Decoders.of(settings, photo_work.__name__, settings.image_max_bytes),
            key_of=key_of,
        )
        embedder = EmbedderFrames(settings.embedder_target, to_embedder(settings))
        patches = EmbedderPatches(embedder)
        products, private = RetrieverVectors(channel), BlurredFrames(embedder, photos)
        checks = FrameChecks(record, photos, embedder, products, private, now_micros)
        references = References(record, ReferenceFiles(photos), patches)
        return cls(channel, catalogs, record, photos, embedder, checks, patches, references)

    async def close(self) -> None:
        """End reads of the list of catalogs, drop connections, and wait for writes of photos."""
        await self.catalogs.stop()
        await self.embedder.close()
        await self.channel.close(None)
        self.photos.close()


def sales_counts(settings: VisionServerSettings) -> RankerSales:
    """Return the client of the ranker. Requires a running event loop. Raises Unreadable."""
    return RankerSales(settings.ranker_target, to_ranker(settings))


def deliverer(
    settings: VisionSettings, catalogs: Collection[str], record: Record
) -> tuple[Deliverer, list[Poster]]:
    """Return what delivers alerts, and its clients to close."""
    steady, retrying = Poster.of(settings), Poster.of(settings)
    rules = RetryRules(settings.webhook_retry_hours * 3600)
    keys = webhook_keys(settings)
    return Deliverer(catalogs, record, steady, retrying, keys, rules), [steady, retrying]


def snapshot_poller(
    settings: VisionSettings, parts: Parts
) -> tuple[SnapshotPoller | None, list[Fetcher]]:
    """Return what takes frames of watches from addresses, None where none is allowed; and its
    clients to close."""
    if not settings.fetch_hosts:
        return None, []
    steady, retrying = snapshot_fetcher(settings), snapshot_fetcher(settings)
    poller = SnapshotPoller(
        *(parts.record, parts.checks, steady.fetched_file, retrying.fetched_file),
        *(parts.catalogs, now_micros),
    )
    return poller, [steady, retrying]
