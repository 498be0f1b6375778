"""Manifest of a backup."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ranker.adapters.backup_files import MANIFEST, BackupFiles
from ranker.domain.errors import BackupRefused

FORMAT: Final = "sightline.ranker"
FORMAT_VERSION = 1
Count = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class BackupJson(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class File(BackupJson):
    size: Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class TableFile(File):
    """One table's compressed file."""

    name: Name
    columns: list[Name]
    rows: Count

    @property
    def file(self) -> str:
        return f"tables/{self.name}.copy.gz"


class ModelFile(File):
    catalog_id: Name
    version: Name
    name: Name

    @property
    def file(self) -> str:
        return f"models/{self.catalog_id}/{self.version}/{self.name}"


class BackupManifest(BackupJson):
    format: Literal["sightline.ranker"] = FORMAT
    format_version: int = FORMAT_VERSION
    service_version: str
    create_micros: Count
    """Time of the snapshot, microseconds since 1970 (UTC)."""
    revision: Name
    """Schema revision of the tables."""
    key_id: str
    key_fingerprint: str
    """Fingerprint of the pseudonym key; empty if there are no pseudonyms yet."""
    tables: list[TableFile]
    sequences: dict[Name, Count]
    """Highest sequence number ever used, by table."""
    models: list[ModelFile]
    lost: list[str]
    """Models whose files were missing or damaged, as CATALOG/VERSION."""

    def rows(self, table: str) -> int:
        return next((one.rows for one in self.tables if one.name == table), 0)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in (*self.tables, *self.models))


def read(files: BackupFiles, backup_id: str, *, unsigned: bool) -> BackupManifest:
    """Return the manifest of a backup; BackupRefused."""
    found: dict[str, Any] = files.get_signed(backup_id, MANIFEST, unsigned=unsigned)
    if found.get("format") == FORMAT and found.get("format_version") != FORMAT_VERSION:
        raise BackupRefused("BACKUP_VERSION_UNSUPPORTED", "a newer release made it")
    try:
        return BackupManifest.model_validate(found)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BackupRefused("BACKUP_DAMAGED", f"{where} of its manifest is wrong") from error
