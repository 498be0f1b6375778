"""Properties and parts of a frame, for decoding processes."""

import struct
from collections.abc import Sequence
from math import sqrt
from typing import Final

from PIL import Image, ImageFilter, ImageStat

from servicekit.decoding.wire import ExpectedOutput, Made
from sightline_rules import photos
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoLimits

CELLS: Final = (16, 12)
"""Parts of a frame whose brightness is told, across and down."""
MOST_PIXELS: Final = 360 * 360
"""Pixels of a part of a frame, at most: larger ones are reduced."""
_SIDE: Final = 320
"""Longest side, in pixels, of the picture that is measured."""
_LAPLACE: Final = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


def part_bytes(parts: int, limits: PhotoLimits) -> int:
    """Return the bytes for the pixels of each part, at most: together they fit where a photo
    does."""
    return 3 * min(MOST_PIXELS, limits.max_bytes // (3 * max(parts, 1)))


def wanted(parts: int, limits: PhotoLimits) -> ExpectedOutput:
    """Return the expected form of the answer for a number of parts: brightness of the cells,
    brightness of the brightest hundredth, sharpness, width and height of each part; and the pixels
    of each part (RGB), followed by zeros."""
    facts = struct.Struct(f"!{CELLS[0] * CELLS[1]}fff{2 * parts}H")
    return ExpectedOutput(facts, (parts, part_bytes(parts, limits)) if parts else ())


def measured(photo: bytes, limits: PhotoLimits, boxes: Sequence[PhotoArea]) -> Made:
    """Measure a frame, and cut parts out. Raises PhotoRejectedError and MemoryNeededError."""
    image = photos.decode(photo, limits, None if boxes else _SIDE)
    form = wanted(len(boxes), limits)
    pixels, sides = bytearray(form.size), list[int]()
    for place, box in enumerate(boxes):
        part = _part(image, box, form.shape[1] // 3)
        data, start = part.tobytes(), place * form.shape[1]
        pixels[start : start + len(data)] = data
        sides += part.size
    grey = image.convert("L")
    cells = grey.convert("F").resize(CELLS, Image.Resampling.BOX)
    grey.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    edges = ImageStat.Stat(grey.filter(_LAPLACE)).var[0] if min(grey.size) > 2 else 0.0
    values = [min(value / 255, 1.0) for (value,) in struct.iter_unpack("=f", cells.tobytes())]
    bright = _brightest(grey.histogram()) / 255
    facts = form.facts.pack(*values, bright, edges / 255**2, *sides)
    return Made(facts, memoryview(pixels).cast("B", form.shape) if boxes else None)


def _part(image: Image.Image, box: PhotoArea, most: int) -> Image.Image:
    """Return a part of an image, reduced to `most` pixels."""
    left, top, right, bottom = box.pixels(image.width, image.height)
    scale = min(1.0, sqrt(most / ((right - left) * (bottom - top))))
    width = max(1, min(int((right - left) * scale), most))
    height = max(1, min(int((bottom - top) * scale), most // width))
    part = (left, top, right, bottom)
    return image.resize((width, height), Image.Resampling.BILINEAR, part, 2.0)


def _brightest(histogram: list[int]) -> int:
    """Return the level that a hundredth of the pixels reaches."""
    left = sum(histogram) / 100
    for level in range(255, 0, -1):
        left -= histogram[level]
        if left < 0:
            return level
    return 0
