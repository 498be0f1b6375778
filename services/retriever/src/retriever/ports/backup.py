"""What backups ask of the record and of the place where they are kept."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol, TypeVar

from retriever.domain.archive import Row, Table
from retriever.domain.generation import Generation
from retriever.ports.catalog import DeletionRecord
from retriever.ports.generations import GenerationsRecord


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

    def count(self, table: Table) -> int:
        """How many rows a table has."""

    def rows(self, table: Table) -> Iterator[Sequence[Row]]:
        """A table's rows by its key, in batches."""


T = TypeVar("T")


class BackupRecord(DeletionRecord, GenerationsRecord, Protocol):
    """The record as backups see it."""

    def archived(self) -> tuple[Table, ...]:
        """The tables of an archive, in its order."""

    async def snapshot(self, catalog_id: str, take: Callable[[Snapshot], T]) -> T:
        """What `take`, in a thread, makes of the catalog at one commit; writes go on."""

    def check_archived(self, row: Row, image_ids: Sequence[str]) -> None:
        """Whether the catalog takes such a product. Raises BackupDamaged."""

    async def restore_images(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Make photos known whose bytes are stored."""

    async def restore_vectors(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Store vectors, whatever was there."""

    async def restore_products(
        self, catalog_id: str, before: int, batch: Sequence[tuple[Row, Sequence[str]]]
    ) -> None:
        """Store products with their photos' ids, but for those written whole since a commit."""

    async def restore_pending(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """Say of photos that wait how often they failed."""

    async def reach(self, catalog_id: str, commit: int) -> None:
        """Let the next commit's number be greater: index tokens stay good."""


class Upload(Protocol):
    """A file that nobody sees before it is whole. To be closed either way."""

    file: IO[bytes]

    async def commit(self) -> None:
        """Make it durable under its name. Raises BackupsUnavailable, BackupsFull."""

    async def abort(self) -> None:
        """Leave nothing of it."""


class BackupStore(Protocol):
    """The place of backups. Every call raises BackupsUnavailable."""

    def spool_folder(self) -> Path | None:
        """Where large files may stand for a while; None = wherever the system puts them."""

    async def names(self, catalog_id: str) -> list[str]:
        """The ids of a catalog's backups, newest first."""

    async def used(self, catalog_id: str) -> tuple[int, int]:
        """How many backups a catalog has, and their bytes."""

    async def delete(self, catalog_id: str, backup_id: str) -> int:
        """Bytes of the backup that is gone now; 0 = there was none."""

    async def open(self, catalog_id: str, backup_id: str) -> tuple[IO[bytes], int]:
        """A backup to read, and its bytes. Raises BackupNotFound."""

    async def begin(self, catalog_id: str, backup_id: str) -> Upload:
        """A new backup to write; what an earlier attempt left of it is gone."""

    async def run(self, work: Callable[[], T]) -> T:
        """Work that reads or writes these files, in a thread. Raises BackupsFull too."""
