"""The contents of an archive."""

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from retriever.domain.errors import BackupDamaged, BackupsFull, BackupsUnavailable
from retriever.domain.generation import Generation

FORMAT: Final = "sightline.catalogue"
FORMAT_VERSION = 1
MANIFEST, COMPLETE = "manifest.json", "complete.json"
SIGNATURE = ".hmac"
"""Name suffix of the member after a JSON one, which holds its signature (servicekit.keyring)."""
MOST_JSON_BYTES = 4 * 2**20
MOST_GENERATIONS = 1_000
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
Row: TypeAlias = dict[str, Any]


def signed(name: str, before: str) -> tuple[str, str, str]:
    """Return what the signature of a JSON member covers.

    `before`: the archive's signature before it.
    """
    return "backup", name, before


def meaning(error: OSError) -> BackupsFull | BackupsUnavailable:
    """Return the ServiceError that an error of the backup store stands for."""
    return BackupsFull() if error.errno in _FULL else BackupsUnavailable()


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

    @property
    def member(self) -> str:
        """Its name in the archive."""
        return f"tables/{self.name}.parquet"


class Strict(BaseModel):
    """JSON of ours: nothing else in it, no value of another type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Count = Annotated[int, Field(ge=0, lt=2**53)]


class Member(Strict):
    """One table's file."""

    name: str = Field(max_length=100)
    rows: Count
    size: Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(Strict):
    """The archive's table of contents."""

    format: Literal["sightline.catalogue"] = FORMAT
    format_version: int
    service_version: str = Field(max_length=100)
    catalog_id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    create_time: Count
    """Microseconds since 1970 (UTC)."""
    commit: Count
    """The record's newest commit in it."""
    photo_bytes: Count
    members: list[Member] = Field(max_length=100)
    """The tables, in order."""
    generations: list[dict[str, Any]] = Field(max_length=MOST_GENERATIONS)
    """The live index generations, as the record held them."""

    def rows(self, table: str) -> int:
        """Return the number of a table's rows; 0 if the archive lacks it."""
        name = f"tables/{table}.parquet"
        return next((member.rows for member in self.members if member.name == name), 0)


class Complete(Strict):
    """The archive's end: counts of its photos."""

    photos: Count
    lost: Count
    """Photos that the record knew and the photo store did not have, or damaged."""


_GENERATION = TypeAdapter(Generation)


def dumped(generation: Generation) -> dict[str, Any]:
    """Return a generation as it stands in a manifest."""
    value: dict[str, Any] = _GENERATION.dump_python(generation, mode="json")
    return value


def generations_of(manifest: Manifest) -> list[Generation]:
    """Return the generations of a manifest. Raises BackupDamaged."""
    try:
        return [_GENERATION.validate_python(value) for value in manifest.generations]
    except ValidationError as error:
        raise BackupDamaged(MANIFEST, "describes no index generations") from error
