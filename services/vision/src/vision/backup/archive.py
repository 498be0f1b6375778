"""The files of a backup: a table is a file of JSON lines, a photo is a file of its name."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field

from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.artefacts.backup_files import BackupReader, BackupWriter
from servicekit.artefacts.manifest import BackupJson, validated
from sightline_rules.photos import MEDIA_TYPES, PhotoRejectedError, image_id, sniff
from vision.ports.snapshots import WatchSnapshot

Row: TypeAlias = dict[str, Any]
MOST_LINE: Final = 4 * 2**20
"""Bytes of a row; states have up to 300 kB."""
MOST_PHOTO_BYTES: Final = 32 * 2**20
"""Maximum of VISION_IMAGE_MAX_BYTES."""
BATCH: Final = 100
COLUMNS: Final = {
    "watches": {"watch_id": str, "body": str, "etag": str, "create_time": int, "update_time": int},
    "watch_states": {"watch_id": str, "body": str, "revision": int},
    "watch_alerts": {"sequence": int, "watch_id": str, "create_time": int, "body": str},
    "watch_photos": {
        "image_id": str,
        "watch_id": str,
        "media_type": str,
        "width": int,
        "height": int,
    },
}
"""Types of the columns of the tables."""


class WatchContent(BackupJson):
    """What a manifest says of a catalog."""

    commit: Annotated[int, Field(ge=0, lt=2**53)]
    """The record's newest commit in the backup."""
    lost: Annotated[int, Field(ge=0, lt=2**53)]
    """Photos that rules look for, and the store lacks or holds damaged."""


def table_file(name: str) -> str:
    """Return the file of a table."""
    return f"tables/{name}.jsonl"


def write_tables(writer: BackupWriter, found: WatchSnapshot) -> None:
    """Write all tables. Blocks."""
    for name in COLUMNS:
        with writer.file(table_file(name)) as file:
            for batch in found.rows(name):
                for row in batch:
                    file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")
                file.rows += len(batch)


def write_photo(writer: BackupWriter, name: str, data: bytes) -> None:
    """Write a photo. Blocks."""
    with writer.file(f"photos/{name}") as file:
        file.write(data)


class ArchiveReader:
    """A backup, read table by table; each is checked when it was read to its end. Blocks."""

    def __init__(self, backup: BackupReader) -> None:
        """Raise BackupDamaged if the manifest is none of vision."""
        self.manifest, self._backup = backup.manifest, backup
        self.content = validated(WatchContent, backup.manifest.content)

    def rows(self, name: str) -> Iterator[list[Row]]:
        """Yield the rows of a table, in batches. Raise BackupDamaged."""
        with self._backup.open(table_file(name)) as file:
            rest, batch = b"", list[Row]()
            while data := file.read():
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > MOST_LINE:
                    raise _damaged(name, "has too long a row")
                for line in lines:
                    batch.append(_row(name, line))
                    if len(batch) == BATCH:
                        yield batch
                        batch = []
            if rest:
                raise _damaged(name, "is cut short")
            if batch:
                yield batch

    def photo(self, row: Row) -> bytes | None:
        """Return a photo; None: it was lost. Raise BackupDamaged."""
        name = f"photos/{row['image_id']}"
        entry = next((each for each in self.manifest.files if each.name == name), None)
        if entry is None:
            return None
        if not 0 < entry.size <= MOST_PHOTO_BYTES:
            raise BackupDamaged(name, "is too large")
        data = self._backup.read(name)
        try:
            media_type = MEDIA_TYPES[sniff(data)]
        except PhotoRejectedError as error:
            raise BackupDamaged(name, "is no photo") from error
        if image_id(data) != row["image_id"] or media_type != row["media_type"]:
            raise BackupDamaged(name, "is not the photo that its row describes")
        return data


def _row(name: str, line: bytes) -> Row:
    columns = COLUMNS[name]
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(name, "has a row that is no JSON") from error
    if not isinstance(row, dict) or {key: type(row[key]) for key in row} != columns:
        raise _damaged(name, "has a row with other columns")
    return row


def _damaged(name: str, description: str) -> BackupDamaged:
    return BackupDamaged(table_file(name), description)
