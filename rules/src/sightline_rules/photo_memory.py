"""Memory needed to decode a photo, by its header.

Measured on 12 megapixels of every mode (2026-11); AVIF, HEIF and TIFF include 4 and more bytes a
pixel for channels of more than 8 bits.
"""

from collections.abc import Mapping
from typing import Final

_BASE: Final = 16 * 2**20
_CODEC: Final[Mapping[str, int]] = {
    "JPEG": 5,
    "PNG": 6,
    "WEBP": 17,
    "GIF": 4,
    "AVIF": 18,
    "HEIF": 18,
    "TIFF": 14,
    "BMP": 5,
}
"""Maximum bytes per pixel that a format's decoder uses and returns."""
_PROGRESSIVE: Final = 9
"""More bytes a pixel of the full size of a progressive JPEG, until its last scan is read."""
_OPAQUE, _FLATTENED, _TURNED = 8, 15, 4
"""What it takes to make that RGB, without transparency or with it, and to turn it."""


class MemoryNeededError(Exception):
    """The photo needs more memory to decode than allowed."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"the photo takes {needed:,} bytes of memory to decode")
        self.needed = needed
        """Bytes."""


def needed(
    name: str, pixels: int, *, progressive: int, transparent: bool, turned: bool, kept: bool
) -> int:
    """Return the bytes needed to decode a photo of a format and number of pixels.

    `progressive`: pixels of a progressive JPEG before it is scaled down; `kept`: it is not
    converted to RGB.
    """
    each = _CODEC[name]
    if not kept:
        each += (_FLATTENED if transparent else _OPAQUE) + (_TURNED if turned else 0)
    return _BASE + each * pixels + _PROGRESSIVE * progressive
