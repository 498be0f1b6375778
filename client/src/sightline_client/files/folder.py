"""A folder of photos as a table: category/…/photo.jpg, one product a photo."""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from sightline_client.files.model import Row, bad
from sightline_client.files.photos import SUFFIXES


class PhotoTree:
    """A folder and all below it. The id is the path within it, the category the folders, the title
    the name. Links that point outside are not followed, nor are links to folders."""

    columns: tuple[str, ...] = ("id", "title", "category", "images")

    def __init__(self, root: Path, report: Callable[[int], None] | None = None) -> None:
        """Walk the folder once. ``report`` is called with the number of photos found so far."""
        self._root = root.resolve()
        self.done = 0
        self.not_followed = 0
        """Number of links that were not followed."""
        self.not_photos = 0
        """Number of files skipped, because their name is not a photo's."""
        digest, self.total = hashlib.sha256(), 0
        for path in self._photos():
            facts = path.stat()
            name = os.fsencode(path.relative_to(self._root))
            digest.update(b"%s\0%d\0%d\0" % (name, facts.st_size, facts.st_mtime_ns))
            self.total += 1
            if report is not None:
                report(self.total)
        self.fingerprint = digest.hexdigest()[:32]
        """Hash of all names, sizes and times, 32 hexadecimal digits."""

    def rows(self) -> Iterator[Row]:
        """Yield a row for each photo, in the order of their paths."""
        for path in self._photos():
            self.done += 1
            yield _row(self.done, path.relative_to(self._root))

    @property
    def records(self) -> int:
        """Photos read so far."""
        return self.done

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _photos(self) -> Iterator[Path]:
        self.not_followed = self.not_photos = 0
        yield from self._below(self._root)

    def _below(self, folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_symlink() and not self._leads_to_a_file_inside(path):
                self.not_followed += 1
            elif path.is_dir():
                yield from self._below(path)
            elif path.suffix.lower() in SUFFIXES and path.is_file():
                yield path
            else:
                self.not_photos += 1

    def _leads_to_a_file_inside(self, link: Path) -> bool:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: circular links
            return False
        return target.is_file() and target.is_relative_to(self._root)


def _row(number: int, path: Path) -> Row:
    try:
        name = path.as_posix()
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="replace")
        return Row(number, error=bad("id", f"the name of {shown!r} is not UTF-8: rename it"))
    composed = PurePosixPath(unicodedata.normalize("NFC", name))  # Macs store it decomposed
    title = composed.stem.replace("_", " ").replace("-", " ").strip() or composed.name
    category = list(composed.parent.parts)
    return Row(
        number, {"id": str(composed), "title": title, "category": category, "images": [name]}
    )
