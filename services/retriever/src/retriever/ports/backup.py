"""The record, as backups use it."""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from retriever.domain.archive import ArchiveTable, Row
from retriever.domain.generation import Generation
from retriever.domain.watch_state import RevisedState
from retriever.domain.watches import Alert, StoredWatch, WatchPhoto
from retriever.ports.catalog import DeletionRecord
from retriever.ports.generations import GenerationsRecord
from retriever.ports.watching import WatchRecord


class Snapshot(Protocol):
    """A catalog's record at one commit."""

    @property
    def catalog_id(self) -> str: ...

    @property
    def commit(self) -> int: ...

    @property
    def time(self) -> int:
        """Microseconds since 1970 (UTC)."""

    @property
    def generations(self) -> Sequence[Generation]: ...

    def count(self, table: ArchiveTable) -> int:
        """Return the number of a table's rows."""

    def rows(self, table: ArchiveTable) -> Generator[Sequence[Row], None, None]:
        """Yield a table's rows by its key, in batches."""


T = TypeVar("T")


class BackupRecord(DeletionRecord, GenerationsRecord, WatchRecord, Protocol):
    """The record, as backups use it."""

    def archived(self) -> tuple[ArchiveTable, ...]:
        """Return the tables of an archive, in order."""

    def copied(self) -> tuple[ArchiveTable, ...]:
        """Return the tables of a copy, in order: those of an archive but watches, and vectors of
        texts."""

    async def snapshot(self, catalog_id: str, take: Callable[[Snapshot], T]) -> T:
        """Return `take` of the catalog at one commit, run in a thread; writes go on."""

    def check_archived(self, row: Row, image_ids: Sequence[str]) -> None:
        """Raise BackupDamaged unless the catalog accepts such a product."""

    async def restore_images(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Register photos whose bytes are stored."""

    async def restore_vectors(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Store vectors and overwrite existing ones."""

    async def restore_products(
        self,
        catalog_id: str,
        before: int,
        batch: Sequence[tuple[Row, Sequence[str]]],
        *,
        texts: Sequence[Row] = (),
    ) -> None:
        """Store products with their photos' ids, and vectors of their texts, except those written
        whole since a commit."""

    async def restore_pending(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Restore the number of failed attempts of pending photos."""

    async def restore_synonyms(self, catalog_id: str, before: int, rows: Sequence[Row]) -> None:
        """Store the rules of synonyms, unless some were set since a commit."""

    async def restore_watch(
        self,
        catalog_id: str,
        stored: StoredWatch,
        *,
        known: RevisedState,
        photos: Sequence[WatchPhoto],
    ) -> bool:
        """Store a watch with what it knows and the photos that its rules look for. Return False if
        a watch of its id exists, which is kept. Raises WatchesFull."""

    async def restore_alerts(self, catalog_id: str, alerts: Sequence[Alert]) -> int:
        """Store alerts that the catalog lacks, in the order of their sequence numbers, which they
        keep if these are free. Return their number."""

    async def reach(self, catalog_id: str, commit: int) -> None:
        """Make the next commit's number greater than `commit`: index tokens stay valid."""
