"""What decoding a photo costs, by the format and the sides in its header.

The gateway decodes nothing. A header that is wrong changes the price before the request runs, not
the charge after it, which is measured.
"""

import struct
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class PricedFormat(StrEnum):
    """A format whose sides are read."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    AVIF = "AVIF"
    HEIF = "HEIC"


PIXEL: Final[Mapping[PricedFormat, float]] = {
    PricedFormat.JPEG: 10e-9,
    PricedFormat.PNG: 24e-9,
    PricedFormat.WEBP: 18e-9,
    PricedFormat.AVIF: 24e-9,
    PricedFormat.HEIF: 48e-9,
}
"""Processor seconds of decoding a pixel and reducing the photo: the dearer one of a flat and a
noisy photo of 9 to 25 megapixels (2 cores, 2026-11). Of a JPEG, decoding it in full."""
MOST_PIXELS: Final = 50_000_000
"""Pixels of a photo, at most: larger ones are rejected before they are decoded."""
_HEADER: Final = 65_536
"""Bytes that the sides of an AVIF or HEIC photo are looked for in."""
_BRANDS: Final = 64
"""End of the bytes that an AVIF photo is told by."""
_SEGMENTS: Final = 500
"""Segments of a JPEG that are skipped before its frame, at most."""
_NO_FRAMES: Final = frozenset({0xC4, 0xC8, 0xCC})
"""Markers of a JPEG that are no frames though they are among their numbers."""


def decoding_seconds(photo: bytes) -> float:
    """Return the processor seconds that decoding a photo may take; 0 for other formats, and if the
    header has no sides."""
    try:
        form, width, height = _sides(photo)
    except (struct.error, IndexError):  # cut off
        return 0.0
    return 0.0 if form is None else min(width * height, MOST_PIXELS) * PIXEL[form]


def _sides(photo: bytes) -> tuple[PricedFormat | None, int, int]:
    """Return format, width and height. Raises struct.error and IndexError for a photo without."""
    if photo.startswith(b"\xff\xd8"):
        return PricedFormat.JPEG, *_jpeg(photo)
    if photo.startswith(b"\x89PNG"):
        return PricedFormat.PNG, *struct.unpack_from(">II", photo, 16)
    if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP":
        return PricedFormat.WEBP, *_webp(photo)
    if photo[4:8] == b"ftyp":
        brands = photo[8:_BRANDS]
        form = PricedFormat.AVIF if b"avif" in brands else PricedFormat.HEIF
        return form, *_heif(photo[:_HEADER])
    return None, 0, 0


def _jpeg(photo: bytes) -> tuple[int, int]:
    at = 2
    for _ in range(_SEGMENTS):
        marker = photo[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            height, width = struct.unpack_from(">HH", photo, at + 5)
            return width, height
        (size,) = struct.unpack_from(">H", photo, at + 2)
        at += 2 + size
    return 0, 0


def _webp(photo: bytes) -> tuple[int, int]:
    kind = photo[12:16]
    if kind == b"VP8X":
        return _number(photo[24:27]) + 1, _number(photo[27:30]) + 1
    if kind == b"VP8L":
        bits = _number(photo[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _number(photo[26:28]) & 0x3FFF, _number(photo[28:30]) & 0x3FFF


def _heif(header: bytes) -> tuple[int, int]:
    """Return the sides of the largest picture: a photo of tiles has those of a tile too."""
    found, at = [(0, 0)], header.find(b"ispe")
    while at >= 0:
        found.append(struct.unpack_from(">II", header, at + 8))
        at = header.find(b"ispe", at + 4)
    return max(found, key=lambda sides: sides[0] * sides[1])


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
