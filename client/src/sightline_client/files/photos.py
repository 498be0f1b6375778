"""Folder of a table's photos. Files outside it are never read, also if a link points there."""

import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import texts
from sightline_client.files.model import bad
from sightline_client.transport.gateway_channel import MAX_MESSAGE_BYTES
from sightline_client.values.photos import MAX_BYTES

SUFFIXES = texts.PHOTOS
_ROOM = MAX_MESSAGE_BYTES - 512 * 1024
"""Maximum bytes of a product's photos, which have to fit into one message."""

Images: TypeAlias = list[product_pb2.ProductImage]
"""Photos of a product, in its order."""


class PhotoFolder:
    """Photos by their paths within a folder."""

    def __init__(self, root: Path, *, by_id: bool = False) -> None:
        """`by_id`: `named` finds the photos of a product by its id."""
        self._root, self.by_id = root.resolve(), by_id
        self._named = _by_id(self._root) if by_id else {}

    def named(self, product_id: str) -> Sequence[str]:
        """Return the photos that have a product's id as their name, or as that of their folder."""
        return self._named.get(unicodedata.normalize("NFC", product_id), ())

    def images(self, names: list[str], *, read: bool = True) -> Images:
        """Return the photos, read, or only checked; an http(s) address is passed on for the suite
        to fetch. SightlineError for one that is missing, outside the folder, too large or not
        a file."""
        found: list[product_pb2.ProductImage] = []
        room = _ROOM
        for name in names:
            if name.startswith(("https://", "http://")):
                found.append(product_pb2.ProductImage(uri=name))
                continue
            size, content = self.find(name)
            room -= size
            if room < 0:
                text = "the photos have over 32 MiB together: write the product with fewer"
                raise bad("images", text, reason="PRODUCT_TOO_LARGE")
            found.append(product_pb2.ProductImage(content=content() if read else b""))
        return found

    def find(self, name: str) -> tuple[int, Callable[[], bytes]]:
        """Return a photo's size in bytes, and what reads it. Raises SightlineError."""
        try:
            path = self._existing(name).resolve(strict=True)
            facts = path.stat()
        except FileNotFoundError:
            text = f"{name!r} is not in {self._root}"
            raise bad("images", text, reason="PHOTO_MISSING") from None
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: circular links
            raise _unreadable(name, error) from None
        if not path.is_relative_to(self._root):
            raise bad("images", f"{name!r} points outside {self._root}", reason="PHOTO_OUTSIDE")
        if not stat.S_ISREG(facts.st_mode):
            raise _unreadable(name, "it is not a file")
        if facts.st_size > MAX_BYTES:
            text = f"{name!r} has {facts.st_size:,} bytes, {MAX_BYTES:,} at most"
            raise bad("images", text, reason="IMAGE_TOO_LARGE")
        if not os.access(path, os.R_OK):
            raise _unreadable(name, "permission denied")
        return facts.st_size, partial(_bytes, name, path)

    def _existing(self, name: str) -> Path:
        """Return the path of a name, composed or decomposed if only that exists: a Mac's files have
        decomposed names, whatever the table says."""
        forms = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
        paths = [self._root / form for form in dict.fromkeys((name, *forms))]
        return next((path for path in paths if path.exists()), paths[0])


def _by_id(root: Path) -> Mapping[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for folder, _, names in os.walk(root):
        for name in names:
            path = PurePosixPath(Path(folder, name).relative_to(root).as_posix())
            if path.suffix.lower() in SUFFIXES:
                keys = [path.with_suffix(""), *([path.parent] if path.parent.name else [])]
                for key in keys:
                    found[unicodedata.normalize("NFC", str(key))].append(str(path))
    return {product_id: sorted(photos) for product_id, photos in found.items()}


def _bytes(name: str, path: Path) -> bytes:
    """Read a file, which may have grown since its size was read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(name, error) from None
    if len(content) > MAX_BYTES:
        text = f"{name!r} has over {MAX_BYTES:,} bytes"
        raise bad("images", text, reason="IMAGE_TOO_LARGE")
    return content


def _unreadable(name: str, why: object) -> SightlineError:
    return bad("images", f"{name!r} can't be read: {why}", reason="PHOTO_UNREADABLE")
