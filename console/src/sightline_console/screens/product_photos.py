"""Photos beside a file of products: single ones, and zips of them.

A zip's names are keys: none becomes a path on the disk. It is read within limits, whatever its own
figures say.
"""

import stat
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

from sightline_client.cli.language import _
from sightline_client.files import texts
from sightline_client.files.model import bad
from sightline_client.files.photos import SUFFIXES, PhotoFolder
from sightline_client.values.photos import MAX_BYTES
from sightline_console.web.packed import Packed

MOST_BYTES = 48 * 2**20
"""Maximum bytes of all photos beside a file, also unpacked."""
MOST_FILES = 64
"""Maximum number of photos and zips that a form has: more photos come in a zip."""
MOST_ENTRIES = 5_000
"""Maximum number of entries of a zip, and of photos beside a file."""
MOST_DIRECTORY = 2**20
"""Maximum bytes of a zip's list of entries, which is in memory as it is read."""
LONGEST_NAME = 512
DEEPEST = 16
"""Maximum number of characters, and of levels, of a photo's path in a zip."""
MOST_SENT = 2**30
"""Maximum bytes of photos that one import sends: rows may name a photo again and again."""
ZIP = ".zip"
_END = b"PK\x05\x06"
_END_BYTES = 22
_LOCATOR = b"PK\x06\x07"
"""Begins the part that only zips of over 4 GiB or 65,535 entries have, 20 bytes before the end."""
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_FAILURES = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError),
    *(NotImplementedError, RuntimeError, LookupError),
)
"""What the library raises for a damaged zip."""


class PhotosRefused(Exception):
    """Photos that are not taken, with what to do."""


def packed(files: Iterable[tuple[str, bytes]]) -> Packed:
    """Return the photos of a form, which has each file with its name. Raises PhotosRefused."""
    made = Packed()
    try:
        for name, content in files:
            _take(made, name, content)
    except BaseException:
        made.close()
        raise
    return made


def _take(made: Packed, name: str, content: bytes) -> None:
    suffix = PurePosixPath(name.lower()).suffix
    if suffix == ZIP:
        _unpack(name, content, made)
    elif suffix in SUFFIXES:
        _add(made, name, content)
    else:
        kinds = ", ".join((*sorted(SUFFIXES), ZIP))
        text = _("{name} is no photo and no zip: choose {kinds}.", name=name, kinds=kinds)
        raise PhotosRefused(text)


def _add(made: Packed, name: str, content: bytes) -> None:
    if len(content) > MAX_BYTES:
        raise PhotosRefused(
            _(
                "{name} has over {most} MiB: make the photo smaller.",
                name=name,
                most=MAX_BYTES >> 20,
            )
        )
    if made.size + len(content) > MOST_BYTES:
        raise _too_much()
    path = _composed(name)
    if path in made:
        text = _("Two photos are named {name}: pack them in folders, or rename one.", name=path)
        raise PhotosRefused(text)
    if len(made) >= MOST_ENTRIES:
        raise _many_entries(name)
    try:
        made.add(path, content)
    except OSError as error:
        raise PhotosRefused(_("There is no room for photos now: try again later.")) from error


def _too_much() -> PhotosRefused:
    most = MOST_BYTES >> 20
    return PhotosRefused(
        _("The photos have over {most} MiB, unpacked: import them by the command.", most=most)
    )


def _composed(name: str) -> str:
    """Return a name as it is looked up: a Mac's zip has decomposed names, one of Windows \\."""
    found = texts.composed(name.replace("\\", "/"))
    return found.removeprefix("./")


def _unpack(name: str, content: bytes, made: Packed) -> None:
    try:
        _check_end(content)
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ENTRIES:
                raise _many_entries(name)
            photos = [each for each in entries if _is_photo(name, each)]
            if made.size + sum(each.file_size for each in photos) > MOST_BYTES:
                raise _too_much()  # before anything is unpacked
            for each in photos:
                with archive.open(each) as part:
                    _add(made, each.filename, part.read(MAX_BYTES + 1))
    except _TooManyEntries:
        raise _many_entries(name) from None
    except _FAILURES as error:
        text = _("{name} is no whole zip: make it anew, without a password.", name=name)
        raise PhotosRefused(text) from error


class _TooManyEntries(Exception):
    """A zip whose list of entries is too large."""


def _many_entries(name: str) -> PhotosRefused:
    text = _(
        "{name} has over {most:,} entries: import the photos by the command.",
        name=name,
        most=MOST_ENTRIES,
    )
    return PhotosRefused(text)


def _check_end(content: bytes) -> None:
    """Look at the size of the list of entries before the library reads it into memory. Raises
    _TooManyEntries, and ValueError for what is no zip."""
    tail = content[-(2**16 + _END_BYTES) :]
    at = tail.rfind(_END)
    if not 0 <= at <= len(tail) - _END_BYTES:
        raise ValueError("no end")
    (size,) = struct.unpack_from("<L", tail, at + 12)
    if size > MOST_DIRECTORY or tail[: max(at, 0)][-20:].startswith(_LOCATOR):
        raise _TooManyEntries


def _is_photo(name: str, entry: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a photo; others, such as a Mac's notes, are left out. Raises
    PhotosRefused for one that no packer of photos makes."""
    path = PurePosixPath(_composed(entry.filename))
    hostile = (
        path.is_absolute()
        or ".." in path.parts
        or stat.S_ISLNK(entry.external_attr >> 16)
        or len(entry.filename) > LONGEST_NAME
        or len(path.parts) > DEEPEST
    )
    if hostile:
        shown = entry.filename[:80]
        text = _(
            "{name}: {entry} is no path of a photo: pack the photos anew.", name=name, entry=shown
        )
        raise PhotosRefused(text)
    if entry.is_dir() or path.suffix.lower() not in SUFFIXES or path.name.startswith("._"):
        return False
    if entry.compress_type not in _PLAIN or entry.flag_bits & _ENCRYPTED:
        raise ValueError("packed in another way")
    return True


class PackedPhotos(PhotoFolder):
    """Photos of a form by their names, and those of the web by their addresses: files of this
    machine are no photos of its users."""

    def __init__(self, photos: Packed | None) -> None:
        """`photos`: None: there are none beside the file."""
        super().__init__(Path())
        self._photos = photos
        self._left = MOST_SENT
        paths = [(each, PurePosixPath(each)) for each in photos or ()]
        self._ends = _by_ends((name, path) for name, path in paths)
        self._ids = _by_ends(
            (name, key) for name, path in paths for key in (path.with_suffix(""), path.parent)
        )
        self.used: set[str] = set()
        """Names of the photos that rows named."""

    def named(self, product_id: str) -> Sequence[str]:
        """Return the photos that have a product's id as their name, or as that of their folder."""
        return sorted(self._ids.get(texts.composed(product_id), ()))

    def find(self, name: str) -> tuple[int, Callable[[], bytes]]:
        """Return a photo's size in bytes, and what reads it. Raises SightlineError."""
        photos, found = self._photos, self._place(name)
        if photos is None or not found:
            text = _("{name} is not among the photos beside the file", name=repr(name))
            raise bad("images", text, reason="PHOTO_MISSING")
        self.used.add(found)

        def read() -> bytes:
            self._left -= photos.bytes_of(found)
            if self._left < 0:
                text = _("the photos of all rows are over 1 GiB: import them by the command")
                raise bad("images", text, reason="PHOTOS_TOO_LARGE")
            return photos.read(found)

        return photos.bytes_of(found), read

    def _place(self, name: str) -> str:
        """Return the key of a photo by its path in the zip, or by the end of it if that is one
        photo's alone; empty: there is none. SightlineError for several."""
        wanted = _composed(name)
        if self._photos is not None and wanted in self._photos:
            return wanted
        ends = self._ends.get(wanted, ())
        if len(ends) > 1:
            text = _("{name} is the name of several photos: write the folder too", name=repr(name))
            raise bad("images", text, reason="PHOTO_AMBIGUOUS")
        return next(iter(ends), "")


def _by_ends(paths: Iterable[tuple[str, PurePosixPath]]) -> Mapping[str, set[str]]:
    """Return names by the ends of their paths: `wine/red/7`, `red/7`, `7`."""
    found = defaultdict[str, set[str]](set)
    for name, path in paths:
        for at in range(len(path.parts)):
            found["/".join(path.parts[at:])].add(name)
    return found
