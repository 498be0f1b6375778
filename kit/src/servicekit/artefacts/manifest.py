"""The manifest of a backup."""

import re
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from servicekit.artefacts.backup_errors import BackupDamaged, BackupVersionUnsupported

FORMAT: Final = "sightline.backup"
FORMAT_VERSION = 2
"""Version 1 had a format for each service."""
OLDEST = 30
"""Minor version of the oldest release whose backups are restored."""
FORMER = "restore it with a release of 0.30 to 0.39, and make another backup there"
MANIFEST = "manifest.json"
_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"

Count = Annotated[int, Field(ge=0, lt=2**63)]


class BackupJson(BaseModel):
    """Strict JSON of a backup: unknown keys and values of another type are rejected."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


J = TypeVar("J", bound=BackupJson)


class BackupFile(BackupJson):
    """One file of a backup."""

    name: str = Field(pattern=rf"^{_PART}(/{_PART}){{0,3}}$")
    """Path in the folder of the backup."""
    rows: Count = 0
    """Rows of the table that it holds."""
    size: Count
    """Bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BackupJson):
    """Table of contents of a backup."""

    format: Literal["sightline.backup"] = FORMAT
    format_version: int = FORMAT_VERSION
    service: str = Field(max_length=100)
    service_version: str = Field(max_length=100)
    catalog_id: str = Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,62})?$")
    """Empty: the backup has all catalogs."""
    create_micros: Count
    """Time of the state that the backup holds, in microseconds since 1970 (UTC)."""
    files: list[BackupFile] = Field(max_length=100_000)
    content: dict[str, Any]
    """Data of the service that a restore needs beside the files."""

    def file(self, name: str) -> BackupFile:
        """Return a file's entry. Raise BackupDamaged if there is none."""
        for file in self.files:
            if file.name == name:
                return file
        raise BackupDamaged(MANIFEST, f"does not name {name}")

    def rows(self, name: str) -> int:
        """Return the number of rows of a file; 0 if there is no such file."""
        return next((file.rows for file in self.files if file.name == name), 0)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def parse_manifest(found: dict[str, Any], service: str) -> Manifest:
    """Return a manifest from its JSON.

    Raises BackupDamaged, BackupVersionUnsupported.
    """
    release = str(found.get("service_version", ""))
    if _minor(release) < OLDEST:
        raise BackupVersionUnsupported(f"release {release} made it", FORMER)
    if found.get("format") == FORMAT and found.get("format_version") != FORMAT_VERSION:
        raise BackupVersionUnsupported(f"its format is version {found.get('format_version')}")
    made = validated(Manifest, found)
    if made.service != service:
        raise BackupDamaged(MANIFEST, f"is of the {made.service}, not of the {service}")
    return made


def _minor(release: str) -> int:
    """Return the minor version of a release of ours; a large number for any other text."""
    found = re.match(r"0\.(\d{1,6})\.", release)
    return int(found[1]) if found else OLDEST


def validated(kind: type[J], found: object) -> J:
    """Return JSON of a manifest as a value of `kind`. Raise BackupDamaged."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the text"
        raise BackupDamaged(MANIFEST, f"{where} is missing, unknown or of another type") from error
