"""Dependencies of worker and trainings."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import grpc

from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import IDEMPOTENT, CollaborativeIndex
from ranker.domain.erasure import ERASE
from ranker.learning.promotion import prune
from ranker.record.encrypted_columns import Sealer
from ranker.record.models import ModelRegistry
from ranker.record.tables import JOBS, METADATA
from ranker.settings import LogSettings, WorkerSettings
from ranker.wiring.record import open_record, sealer_of
from ranker.workers.jobs import MAX_ATTEMPTS
from servicekit.admission.access import PeerName
from servicekit.catalogs.known import KnownCatalogs
from servicekit.config import PeerSettings
from servicekit.jobs.queue import Jobs
from servicekit.keys.keyring import signing_keys
from servicekit.rpc.catalog_registry import RemoteRegistry
from servicekit.rpc.channel import connect
from servicekit.rpc.peers import PeerCredentials
from servicekit.sql.database import Database
from servicekit.sql.migrations import settle

if TYPE_CHECKING:
    from ranker.adapters.kafka import Access


POLL_SECONDS: Final = 10.0
"""Seconds between two reads of the list of catalogs: the worker serves no callers, and each call
keeps gRPC's threads of both processes awake for seconds."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The record, the model store and the retriever."""

    database: Database
    channel: grpc.aio.Channel
    """Channel to the retriever."""
    jobs: Jobs
    registry: ModelRegistry
    store: ModelStore
    index: CollaborativeIndex
    prune: Callable[[str], Awaitable[None]]
    """Deletes old models of a catalog."""
    sealer: Sealer | None
    """Encryption of texts; None without."""
    catalogs: KnownCatalogs


@asynccontextmanager
async def backend(settings: WorkerSettings) -> AsyncIterator[Backend]:
    """Open the backend, and close it at the end. The record is not migrated."""
    sealer = sealer_of(settings)
    database = open_record(settings, sealer, threads=2)
    peers = to_retriever(settings)
    channel = connect(
        settings.retriever_target, peers=peers, service_configs=IDEMPOTENT, patient=True
    )
    registry, store = ModelRegistry(database), ModelStore(settings.model_store)
    listed, file = RemoteRegistry(channel), settings.catalogs_file
    catalogs = KnownCatalogs(settings.catalogs, listed, file=file, poll_seconds=POLL_SECONDS)
    index = CollaborativeIndex(channel)
    tidy = partial(prune, registry, store, index, settings.keep_models)
    # A shopper who asked to be erased does not wait for the trainings of a day.
    jobs = Jobs(database, JOBS, max_attempts=MAX_ATTEMPTS, urgent=(ERASE,))
    try:
        await catalogs.start()
        yield Backend(
            *(database, channel, jobs, registry, store, index, tidy, sealer),
            catalogs=catalogs,
        )
    finally:
        await catalogs.stop()
        await channel.close(None)
        database.close()


def to_retriever(settings: PeerSettings) -> PeerCredentials:
    """Return the credentials for calls to the retriever. Raises Unreadable."""
    return PeerCredentials.of(settings).calling(PeerName.RETRIEVER)


def settle_record(database: Database, settings: WorkerSettings) -> None:
    """Bring the record's schema to this release, or wait until another process has."""
    settle(database, METADATA, settings)


def log_access(settings: LogSettings) -> "Access | None":
    """Return the address and credentials of the event log, None without one. Raise Unreadable if
    its files are unusable."""
    if not settings.kafka_brokers:
        return None
    from ranker.adapters.kafka import Access  # the extra `kafka`

    folder, login = settings.kafka_folder, settings.kafka_login
    keys = signing_keys(file) if (file := settings.kafka_keys_file) is not None else None
    unsigned = settings.kafka_unsigned
    access = Access(settings.kafka_brokers, settings.kafka_topic, folder, login, keys, unsigned)
    access.check()
    return access


def stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
