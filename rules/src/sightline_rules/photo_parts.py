"""Parts of photo files, and the orientation that they name.

The orientation of a JPEG, PNG, WebP or TIFF photo is that of EXIF alone, as browsers read it. XMP
and texts of PNG may name one too, which editors leave behind when they turn the picture; they don't
count. AVIF and HEIC turn by boxes of their own, which their decoders read. The catalog, which
removes metadata, and the embedder both read the orientation here, so that both turn a photo alike.
Files are untrusted: numbers beyond the end are 0.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

EXIF = b"Exif\0\0"
"""Start of EXIF in JPEG, and sometimes in WebP."""
PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_METADATA = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"})
SOI, EOI, SOS, APP1 = b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xe1"
ORIENTATION = 0x0112
"""TIFF's tag."""
MOST_ENTRIES = 4_096
"""Maximum number of entries of a folder that are read."""
MOST_PARTS = 2**16
"""Maximum number of parts of a file. Photos have up to some thousands; each takes time and memory,
however short it is."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""A marker with a length, or the end: not restarts, nor 0xFF as a value."""
GIF_PICTURE, GIF_END = 0x2C, b"\x3b"
_GIF_BLOCK = re.compile(rb"[\x21\x2c\x3b]")
"""First bytes of an extension, a picture and the end of a GIF."""
_BYTE, _SHORT, _LONG = 1, 3, 4
_SIZES = {_BYTE: 1, _SHORT: 2, _LONG: 4, 6: 1, 8: 2, 9: 4}
"""TIFF's types of whole numbers, and their bytes. EXIF demands a SHORT; cameras write others."""


class TooManyPartsError(ValueError):
    """The file has more than MOST_PARTS parts."""


def bounded(parts: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Make a generator of a file's parts raise TooManyPartsError."""

    @wraps(parts)
    def few(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        for number, part in enumerate(parts(*args, **kwargs)):
            if number >= MOST_PARTS:
                raise TooManyPartsError
            yield part

    return few


def orientation(data: bytes) -> int:
    """Return the EXIF orientation of a JPEG, PNG, WebP or TIFF photo, 1 to 8; 1 if it names none or
    an invalid one, and for other formats."""
    if data.startswith(SOI):
        found = _jpeg_exif(data)
    elif data.startswith(PNG_START):
        found = next((part for name, part in png_chunks(data) if name == b"eXIf"), b"")[8:-4]
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        found = next((part for name, part in webp_chunks(data) if name == b"EXIF"), b"")
    else:
        found = data
    return exif_orientation(found)


def exif_orientation(exif: bytes) -> int:
    """Return the orientation of EXIF data, 1 to 8; 1 if it names none, or an invalid one."""
    tiff = exif.removeprefix(EXIF).removeprefix(EXIF)
    if tiff[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    order = "<" if tiff[:2] == b"II" else ">"
    at = tiff_number(tiff, order, 4, 4)
    for entry in range(
        at + 2, at + 2 + 12 * min(tiff_number(tiff, order, at, 2), MOST_ENTRIES), 12
    ):
        if tiff_number(tiff, order, entry, 2) == ORIENTATION:
            size = _SIZES.get(tiff_number(tiff, order, entry + 2, 2), 0)
            found = tiff_number(tiff, order, entry + 8, size)
            return found if 1 <= found <= 8 else 1
    return 1


def exif_of(orientation: int) -> bytes:
    """Return EXIF data with an orientation alone."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION, _SHORT, 1, orientation, 0, 0)


def tiff_number(data: bytes, order: str, at: int, size: int) -> int:
    """Return a number of TIFF; 0 beyond the end."""
    return int.from_bytes(data[at : at + size], "little" if order == "<" else "big")


def blanked(data: bytes, places: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return a file with zeros in some places, from start to end, behind the bytes that each begins
    with then if it has room for them; the same bytes if nothing changes. Each byte is written once,
    however often hostile places overlap."""
    found, done = bytearray(data), 0
    for start, end, head in sorted(places):
        begin, done = max(start, done), max(min(end, len(found)), done)
        size = done - begin
        if size > 0:
            found[begin:done] = (head if len(head) <= size else b"").ljust(size, b"\0")
    return data if found == data else bytes(found)


@bounded
def jpeg_segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield marker and bytes of each part of a JPEG after its start: scans as one part with their
    header, up to the end of the picture."""
    at = 2
    while found := _JPEG_MARKER.search(data, at):  # decoders skip what is between two parts
        at, marker = found.start(), found.group()
        if marker == EOI:
            yield marker, marker
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == SOS:
            following = _JPEG_MARKER.search(data, end)
            end = following.start() if following else len(data)
        yield marker, data[at:end]
        at = end


@bounded
def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and bytes of each chunk of a PNG, up to its end; what is cut off has the name
    b""."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        yield name, data[at:end]
        at = end
        if name == b"IEND":
            return
    yield b"", data[at:]


def png_pictures(data: bytes) -> list[bytes]:
    """Return the start of a PNG and its chunks, but those of metadata."""
    parts = (part for name, part in png_chunks(data) if name not in _PNG_METADATA)
    return [PNG_START, *parts]


@bounded
def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each chunk of a WebP file; what is cut off has the name b""."""
    whole = min(8 + int.from_bytes(data[4:8], "little"), len(data))
    at = 12
    while at + 8 <= whole:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    if at < whole:
        yield b"", data[at:whole]


def gif_start(data: bytes) -> int:
    """Return where the blocks of a GIF begin: after its header and colours."""
    return 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)


@bounded
def gif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each picture and extension of a GIF."""
    at = gif_start(data)
    while found := _GIF_BLOCK.search(data, at):  # decoders skip what is between two blocks
        start = at = found.start()
        if data[at] == GIF_END[0]:
            return
        if data[at] == GIF_PICTURE:
            flags = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        else:
            at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        yield start, at


def _jpeg_exif(data: bytes) -> bytes:
    """Return the first EXIF data before the picture."""
    for marker, part in jpeg_segments(data):
        if marker == SOS:
            break
        if marker == APP1 and part[4:].startswith(EXIF):
            return part[4:]
    return b""
