"""Snapshots as files, for a gateway that starts while all other services are down.

A file can be deleted at any time. A file that is damaged or of another release is ignored.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gateway.model.snapshot import CatalogSnapshot
from gateway.state.snapshots.reading import MOST_BYTES
from servicekit.telemetry import get_logger
from servicekit.whole_files import write_whole
from sightline_core.columns import ProductColumns
from sightline_core.opaque_messages import ProductRow

FORMAT = 1
MOST_FILE_BYTES = 2 * MOST_BYTES
"""Maximum size of a file in bytes, including Base64 and ids."""


@dataclass(frozen=True, slots=True)
class _Content:
    format: int
    catalog_id: str
    time_micros: int
    popular: tuple[str, ...]
    newest: tuple[str, ...]
    rows: tuple[bytes, ...]

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


_CONTENT = TypeAdapter(_Content)


class Damaged(ValueError):
    """A file that is invalid or incomplete."""


@dataclass(frozen=True, slots=True)
class SnapshotFiles:
    """One file for each catalog."""

    folder: Path
    columns_of: Callable[[Sequence[ProductRow]], ProductColumns]
    row_of: Callable[[bytes], ProductRow]
    """Parses a serialized ProductRow."""

    def load(self, catalog_id: str) -> CatalogSnapshot | None:
        """Return the catalog's snapshot; None without a usable file."""
        path = self._path(catalog_id)
        try:
            return self._read(path, catalog_id)
        except FileNotFoundError:
            return None
        except (OSError, Damaged) as error:
            get_logger().warning("snapshot not used", file=str(path), problem=str(error))
            return None

    def save(self, catalog_id: str, snapshot: CatalogSnapshot) -> None:
        """Replace the catalog's file; write errors are logged."""
        rows = tuple(row.SerializeToString() for row in snapshot.rows.values())
        lists = (snapshot.popular, snapshot.newest)
        content = _Content(FORMAT, catalog_id, snapshot.time_micros, *lists, rows)
        data = _CONTENT.dump_json(content)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(catalog_id), _digest(data) + b"\n" + data, durable=False)
        except OSError as error:
            get_logger().warning(
                "snapshot not written", folder=str(self.folder), problem=str(error)
            )

    def delete(self, catalog_id: str) -> None:
        """Delete the catalog's file, if there is one; errors are logged."""
        try:
            self._path(catalog_id).unlink(missing_ok=True)
        except OSError as error:
            get_logger().warning(
                "snapshot not deleted", folder=str(self.folder), problem=str(error)
            )

    def _path(self, catalog_id: str) -> Path:
        return self.folder / f"{catalog_id}.snapshot"

    def _read(self, path: Path, catalog_id: str) -> CatalogSnapshot:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise Damaged("it is too large")
        digest, _, data = path.read_bytes().partition(b"\n")
        if digest != _digest(data):
            raise Damaged("its content was changed")
        try:
            content = _CONTENT.validate_json(data)
        except ValidationError:
            raise Damaged("it was written by another release") from None
        if content.format != FORMAT:
            raise Damaged("it was written by another release")
        if content.catalog_id != catalog_id:
            raise Damaged("it belongs to another catalog")
        rows = [self.row_of(row) for row in content.rows]
        return CatalogSnapshot(
            content.time_micros,
            content.popular,
            content.newest,
            {row.product_id: row for row in rows},
            self.columns_of,
        )


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
