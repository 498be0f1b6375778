"""The contents of a catalog's backup."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from retriever.domain.generation import Generation
from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.artefacts.manifest import MANIFEST, BackupJson, Manifest, validated

MOST_GENERATIONS = 1_000
PHOTOS = "photos.tar"
"""The photos of the catalog, as `photos/<sha256>`, in the order of their names."""
Row: TypeAlias = dict[str, Any]


class ColumnType(StrEnum):
    """Type of a column's values."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class ArchiveColumn:
    """One column of a table."""

    name: str
    kind: ColumnType
    nullable: bool


@dataclass(frozen=True, slots=True)
class ArchiveTable:
    """One table of the record, without what belongs to the place where it is kept."""

    name: str
    columns: tuple[ArchiveColumn, ...]
    batch: int
    """Rows that are in memory at once, and in one row group."""
    optional: bool = False
    """Whether backups lack it where it has no rows: earlier releases can read these, and wrote no
    others."""

    @property
    def member(self) -> str:
        """Its file in the backup."""
        return table_file(self.name)


def table_file(name: str) -> str:
    """Return the file of a table."""
    return f"tables/{name}.parquet"


FORMER = (
    "watch_photos.tar",
    *map(table_file, ("watches", "watch_states", "watch_alerts", "watch_photos")),
)
"""Files of watches in backups of releases up to 0.42, which are not restored: another service has
the watches since."""


Count = Annotated[int, Field(ge=0, lt=2**53)]


class CatalogContent(BackupJson):
    """What a manifest says of a catalog."""

    commit: Count
    """The record's newest commit in the backup."""
    lost: Count | None = None
    """Photos that the record names and the store lacks or holds damaged. `None` if unknown."""
    generations: list[dict[str, Any]] = Field(max_length=MOST_GENERATIONS)
    """The live index generations, as the record held them."""


def content_of(manifest: Manifest) -> CatalogContent:
    """Return the catalog's entry in a manifest. Raise BackupDamaged."""
    return validated(CatalogContent, manifest.content)


_GENERATION = TypeAdapter(Generation)


def dumped(generations: Sequence[Generation]) -> list[dict[str, Any]]:
    """Return generations in the form of a manifest."""
    return [_GENERATION.dump_python(generation, mode="json") for generation in generations]


def generations_of(manifest: Manifest) -> list[Generation]:
    """Return the generations of a manifest. Raises BackupDamaged."""
    held = content_of(manifest).generations
    try:
        return [_GENERATION.validate_python(value) for value in held]
    except ValidationError as error:
        raise BackupDamaged(MANIFEST, "describes no index generations") from error
