"""The content of the ranker's backups: tables in the text format of PostgreSQL's COPY, compressed,
as `tables/NAME.copy.gz`, and files of models as `models/CATALOG/VERSION/NAME`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from servicekit.artefacts.backups import Backups
from servicekit.artefacts.manifest import (
    BackupFile,
    BackupJson,
    Count,
    Manifest,
    validated,
)
from servicekit.keys.keyring import signing_keys

TABLES, SUFFIX, MODELS = "tables/", ".copy.gz", "models/"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class RecordContent(BackupJson):
    """The record's entry in a backup's manifest."""

    revision: Name
    """Of the tables."""
    key_id: str
    key_fingerprint: str
    """Fingerprint of the pseudonym key; empty if no pseudonym exists yet."""
    columns: dict[Name, list[Name]]
    """By table."""
    sequences: dict[Name, Count]
    """Highest sequence number ever assigned, by table."""
    lost: list[str]
    """Models, as CATALOG/VERSION, whose files were missing or damaged."""


def content_of(manifest: Manifest) -> RecordContent:
    """Return the record's entry in the manifest. Raise BackupDamaged."""
    return validated(RecordContent, manifest.content)


def table_file(table: str) -> str:
    """Return the file of a table."""
    return f"{TABLES}{table}{SUFFIX}"


def tables_of(manifest: Manifest) -> dict[str, BackupFile]:
    """Return the files of tables by the tables' names, in the order of their references."""
    return {
        file.name.removeprefix(TABLES).removesuffix(SUFFIX): file
        for file in manifest.files
        if file.name.startswith(TABLES)
    }


def record_backups(url: str, keys_file: Path | None) -> Backups:
    """Return the ranker's backups. Raise Unreadable, BackupsUnset."""
    return Backups(url, "ranker", signing_keys(keys_file))
