"""Files of references: photos of drafts as the model sees them, and fitted memories."""

import asyncio
import hashlib
import io
import secrets
import zipfile
from collections import OrderedDict
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from servicekit.telemetry import get_logger
from vision.domain import errors
from vision.domain.inspection import PatchMemory, Pixels
from vision.domain.references import ReferenceManifest
from vision.ports.inspection import StoredFiles

log = get_logger()

CACHED: Final = 32
"""Memories that are kept in memory, of half a MiB each."""
ARRAYS: Final = tuple(each.name for each in fields(PatchMemory) if each.name != "separation")


@dataclass(frozen=True, slots=True)
class ReferenceFiles:
    """Files that the record names. Each has unique bytes: no other row ever names it, and none is
    deleted while it is stored again."""

    stored: StoredFiles
    _memories: OrderedDict[str, PatchMemory] = field(default_factory=OrderedDict)
    """By the hash of the file; those that were used last are at the end."""

    async def put(self, catalog_id: str, data: bytes) -> str:
        """Store a file, which is deleted unless a row names it within a day. Return its name.

        Raises PhotosUnavailable, PhotosFull.
        """
        name = hashlib.sha256(data).hexdigest()
        await self.stored.put(catalog_id, name, data)
        return name

    async def photo(self, catalog_id: str, file: str) -> Pixels | None:
        """Return a photo; None: its file is missing or damaged. Raises PhotosUnavailable."""
        try:
            data = await self.stored.get(catalog_id, file)
            return await asyncio.to_thread(_pixels, data)
        except (errors.ImageNotFound, errors.ImageDamaged, OSError, ValueError) as error:
            log.warning("photo of a draft damaged", file=file, problem=type(error).__name__)
            return None

    async def memory(self, catalog_id: str, manifest: ReferenceManifest) -> PatchMemory:
        """Return the memory of a version. Raises ReferenceNotFound if its file is missing or
        damaged, and PhotosUnavailable."""
        found = self._memories.pop(manifest.file, None)
        if found is None:
            found = await self._read(catalog_id, manifest)
        self._memories[manifest.file] = found
        while len(self._memories) > CACHED:
            self._memories.popitem(last=False)
        return found

    async def _read(self, catalog_id: str, manifest: ReferenceManifest) -> PatchMemory:
        try:
            data = await self.stored.get(catalog_id, manifest.file)
            return await asyncio.to_thread(memory_of, data, manifest.separation)
        except (errors.ImageNotFound, errors.ImageDamaged, ValueError) as error:
            log.warning("reference damaged", version=manifest.version, problem=type(error).__name__)
            raise errors.ReferenceNotFound from error


def photo_file(pixels: Pixels) -> bytes:
    """Return a photo as a PNG with unique bytes."""
    unique, file = PngInfo(), io.BytesIO()
    unique.add_text("id", secrets.token_hex(16))
    Image.fromarray(pixels).save(file, "PNG", compress_level=1, pnginfo=unique)
    return file.getvalue()


def memory_file(memory: PatchMemory) -> bytes:
    """Return the arrays of a memory as an NPZ with unique bytes."""
    file = io.BytesIO()
    np.savez(file, **{name: getattr(memory, name) for name in ARRAYS})
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = secrets.token_hex(16).encode()
    return file.getvalue()


def memory_of(data: bytes, separation: float) -> PatchMemory:
    """Return the memory of such a file. Raises ValueError."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ARRAYS if name in arrays}
            return PatchMemory(**found, separation=separation)
    except (OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError("the file is no memory") from error


def _pixels(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"), np.uint8)
