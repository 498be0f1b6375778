"""Collaborators of the worker's loops."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from retriever.indexing.embedding import RecentVectors
from retriever.ports.embedder import Embedder
from retriever.ports.engine import VectorIndex
from retriever.ports.photos import PhotoFiles
from retriever.record import Record
from retriever.settings import RetrieverSettings
from servicekit.artefacts.backups import Backups
from servicekit.catalogs.known import KnownCatalogs
from servicekit.jobs.queue import Jobs
from servicekit.sql.leases import Lease
from sightline_rules.filters import Filter


@dataclass(frozen=True, slots=True)
class Wakes:
    """Events that are set when there is work of a kind."""

    photos: asyncio.Event = field(default_factory=asyncio.Event)
    """Photos or texts to embed."""
    changes: asyncio.Event = field(default_factory=asyncio.Event)
    """Changes that the index lacks."""
    deletions: asyncio.Event = field(default_factory=asyncio.Event)
    copies: asyncio.Event = field(default_factory=asyncio.Event)
    """Backups, restores and copies of catalogs."""
    others: asyncio.Event = field(default_factory=asyncio.Event)
    """Other jobs."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Collaborators of a worker."""

    catalogs: KnownCatalogs
    options: RetrieverSettings
    record: Record
    photos: PhotoFiles
    index: VectorIndex
    embedder: Embedder
    leadership: Lease
    jobs: Jobs
    name: str
    """Id of this process; see servicekit.sql.leases.worker_id."""
    backups: Backups
    read_filter: Callable[[str], Filter]
    """The filter of a purge, from the job's parameters."""
    forget_jobs: Callable[[], Awaitable[int]]
    """Deletes jobs that ended long ago; returns their number."""
    recent: RecentVectors = field(default_factory=RecentVectors)
