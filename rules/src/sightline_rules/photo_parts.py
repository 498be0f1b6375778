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
from collections.abc import Iterator

EXIF = b"Exif\0\0"
"""Start of EXIF in JPEG, and sometimes in WebP."""
PNG_START = b"\x89PNG\r\n\x1a\n"
SOI, EOI, SOS, APP1 = b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xe1"
ORIENTATION = 0x0112
"""TIFF's tag."""
MOST_ENTRIES = 4_096
"""Maximum number of entries of a folder that are read."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker within or after a scan, other than restarts."""
_BYTE, _SHORT, _LONG = 1, 3, 4
_SIZES = {_BYTE: 1, _SHORT: 2, _LONG: 4, 6: 1, 8: 2, 9: 4}
"""TIFF's types of whole numbers, and their bytes. EXIF demands a SHORT; cameras write others."""


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


def jpeg_segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield marker and bytes of each part of a JPEG after its start: scans as one part with their
    header, up to the end of the picture."""
    at = 2
    while at + 4 <= len(data):
        marker = data[at : at + 2]
        if marker == EOI:
            yield marker, marker
            return
        if marker[:1] != b"\xff":
            break
        if marker[1] == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == SOS:
            following = _JPEG_MARKER.search(data, end)
            end = following.start() if following else len(data)
        yield marker, data[at:end]
        at = end
    if at < len(data):
        yield data[at : at + 2], data[at : at + 2] if data[at:] == EOI else data[at:]


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


def _jpeg_exif(data: bytes) -> bytes:
    """Return the first EXIF data before the picture."""
    for marker, part in jpeg_segments(data):
        if marker == SOS:
            break
        if marker == APP1 and part[4:].startswith(EXIF):
            return part[4:]
    return b""
