"""The record and the backup store, as backups use them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol, TypeVar

from retriever.domain.archive import ArchiveTable, Row
from retriever.domain.generation import Generation
from retriever.ports.catalog import DeletionRecord
from retriever.ports.generations import GenerationsRecord
from servicekit.keyring import KeyRing


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

    def rows(self, table: ArchiveTable) -> Iterator[Sequence[Row]]:
        """Yield a table's rows by its key, in batches."""


T = TypeVar("T")


class BackupRecord(DeletionRecord, GenerationsRecord, Protocol):
    """The record, as backups use it."""

    def archived(self) -> tuple[ArchiveTable, ...]:
        """Return the tables of an archive, in order."""

    async def snapshot(self, catalog_id: str, take: Callable[[Snapshot], T]) -> T:
        """Return `take` of the catalog at one commit, run in a thread; writes go on."""

    def check_archived(self, row: Row, image_ids: Sequence[str]) -> None:
        """Raise BackupDamaged unless the catalog accepts such a product."""

    async def restore_images(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Register photos whose bytes are stored."""

    async def restore_vectors(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Store vectors and overwrite existing ones."""

    async def restore_products(
        self, catalog_id: str, before: int, batch: Sequence[tuple[Row, Sequence[str]]]
    ) -> None:
        """Store products with their photos' ids, except those written whole since a commit."""

    async def restore_pending(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Restore the number of failed attempts of pending photos."""

    async def reach(self, catalog_id: str, commit: int) -> None:
        """Make the next commit's number greater than `commit`: index tokens stay valid."""


class Upload(Protocol):
    """A file that becomes visible when it is complete. It has to be committed or aborted."""

    file: IO[bytes]

    async def commit(self) -> None:
        """Make the file durable under its name. Raises BackupsUnavailable, BackupsFull."""

    async def abort(self) -> None:
        """Delete the file."""


class BackupStore(Protocol):
    """The store of backups. Every call raises BackupsUnavailable."""

    def keys(self) -> KeyRing:
        """Return the keys that sign backups."""

    def spool_folder(self) -> Path | None:
        """Return the folder of large temporary files; None: the system's default."""

    async def names(self, catalog_id: str) -> list[str]:
        """Return the ids of a catalog's backups, newest first."""

    async def used(self, catalog_id: str) -> tuple[int, int]:
        """Return the number of a catalog's backups, and their bytes."""

    async def delete(self, catalog_id: str, backup_id: str) -> int:
        """Delete a backup and return its bytes; 0 if it did not exist."""

    async def open(self, catalog_id: str, backup_id: str) -> tuple[IO[bytes], int]:
        """Open a backup; return it and its bytes. Raises BackupNotFound."""

    async def begin(self, catalog_id: str, backup_id: str) -> Upload:
        """Begin a new backup; remains of an earlier attempt are deleted."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run work on these files in a thread. Raises BackupsFull too."""
