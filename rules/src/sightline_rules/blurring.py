"""Blurring of rectangles in photos, for decoding processes."""

import io
import math
from collections.abc import Sequence
from typing import Final

from PIL import Image

from sightline_rules import photos
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoLimits, PhotoRejectedError, RejectionReason

MARGIN: Final = 0.4
"""Share of a face's sides that is blurred around it: a detector's box ends at forehead and chin."""
CELLS: Final = 4
"""Colours that are left of a face, across and down. With 6 and a margin of 0.2, the detector found
a third of the small faces again (`python -m lab faces`)."""
QUALITY: Final = 92
"""Quality of the JPEG, as Pillow counts it."""


def blurred(
    photo: bytes, limits: PhotoLimits, faces: Sequence[PhotoArea], part: PhotoArea | None = None
) -> bytes:
    """Return a photo with its faces replaced by a mosaic, as an upright JPEG without metadata but
    its colour profile. `part`: cut out of it afterwards.

    Raises PhotoRejectedError and MemoryNeededError.
    """
    image = photos.decode(photo, limits)
    profile = image.info.get("icc_profile") or b""
    for face in faces:
        _mosaic(image, face)
    if part is not None:
        image = image.crop(part.pixels(image.width, image.height))
    of_rgb = profile[16:20] == b"RGB "  # a profile of CMYK or grey does not fit any more
    file = io.BytesIO()
    image.save(
        file, "JPEG", quality=QUALITY, subsampling=0, icc_profile=profile if of_rgb else None
    )
    if file.tell() > limits.max_bytes:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the photo has {file.tell():,} bytes after its faces were blurred; at most "
            f"{limits.max_bytes:,} are taken",
        )
    return file.getvalue()


def _mosaic(image: Image.Image, face: PhotoArea) -> None:
    """Paint each cell in the mean of its pixels. Cell by cell, as it needs no copy of the part."""
    across = _cuts(face.left, face.right, image.width)
    down = _cuts(face.top, face.bottom, image.height)
    part = (across[0], down[0], across[-1], down[-1])
    small = image.resize((CELLS, CELLS), Image.Resampling.BOX, box=part)
    for row in range(CELLS):
        for column in range(CELLS):
            cell = (across[column], down[row], across[column + 1], down[row + 1])
            image.paste(small.getpixel((column, row)), cell)  # type: ignore[arg-type]


def _cuts(low: float, high: float, size: int) -> list[int]:
    """Return the edges of the cells between two sides with their margin, in pixels of a photo of
    this size."""
    margin = MARGIN * (high - low)
    first = min(max(math.floor((low - margin) * size), 0), size - 1)
    last = max(min(math.ceil((high + margin) * size), size), first + 1)
    return [first + (last - first) * place // CELLS for place in range(CELLS + 1)]
