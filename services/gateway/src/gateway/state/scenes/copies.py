"""Copies of published scenes as files, for a gateway that starts while the record can't be read.

A file can be deleted at any time. One that is damaged or of another release is ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from gateway.model.scene import PublishedScene
from servicekit.telemetry import get_logger
from servicekit.whole_files import write_whole

MOST_FILE_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class SceneCopy:
    """The published scenes of a catalog."""

    revision: str
    scenes: Sequence[PublishedScene]
    planned_micros: int = 0
    """Time of the next planned version; 0: none is planned. The revision does not tell that one was
    published."""


_COPY = TypeAdapter(SceneCopy)


@dataclass(frozen=True, slots=True)
class SceneCopies:
    """One file for each catalog."""

    folder: Path

    def load(self, catalog_id: str) -> SceneCopy | None:
        """Return the scenes of a catalog; None without a usable file."""
        path = self._path(catalog_id)
        try:
            return _COPY.validate_json(path.read_bytes()[:MOST_FILE_BYTES])
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            get_logger().warning("scenes not used", file=str(path), problem=str(error))
            return None

    def save(self, catalog_id: str, copy: SceneCopy) -> None:
        """Replace the file of a catalog; errors are logged."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(catalog_id), _COPY.dump_json(copy), durable=False)
        except OSError as error:
            get_logger().warning("scenes not written", folder=str(self.folder), problem=str(error))

    def delete(self, catalog_id: str) -> None:
        """Delete the file of a catalog, if there is one; errors are logged."""
        try:
            self._path(catalog_id).unlink(missing_ok=True)
        except OSError as error:
            get_logger().warning("scenes not deleted", folder=str(self.folder), problem=str(error))

    def _path(self, catalog_id: str) -> Path:
        return self.folder / f"{catalog_id}.scenes"
