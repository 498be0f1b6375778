"""How much memory a photo takes to decode, by what its header says.

Measured on 12 megapixels of every mode (2026-11); of AVIF, HEIF and TIFF 4 bytes a pixel and more
are meant for channels of more than 8 bits.
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
"""Bytes for each pixel, at most, that a format's decoder takes and gives; so are those below."""
_PROGRESSIVE: Final = 9
"""What a progressive JPEG takes besides, of its whole size, until its last scan is read."""
_OPAQUE, _FLATTENED, _TURNED = 8, 15, 4
"""What it takes to make that RGB, without transparency or with it, and to turn it."""


class MemoryNeededError(Exception):
    """A photo that takes more memory to decode than there is for it."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"the photo takes {needed:,} bytes of memory to decode")
        self.needed = needed
        """Bytes."""


def needed(
    name: str, pixels: int, *, progressive: int, transparent: bool, turned: bool, kept: bool
) -> int:
    """Bytes that a photo of a format and so many pixels takes.

    `progressive`: pixels of a progressive JPEG before it was made smaller; `kept`: it is looked at
    as it is, and not made RGB.
    """
    each = _CODEC[name]
    if not kept:
        each += (_FLATTENED if transparent else _OPAQUE) + (_TURNED if turned else 0)
    return _BASE + each * pixels + _PROGRESSIVE * progressive
