"""Changes that make a catalog photo look like a shopper's: deterministic by seed and key.

The same Pillow gives the same bytes for the same photo, seed and key on every machine.
"""

import io
import random
from enum import StrEnum

from PIL import Image, ImageEnhance, ImageOps, ImageStat

QUALITY = 90
"""Quality of the resulting JPEG."""


class Transform(StrEnum):
    """One change of a photo."""

    CROP = "crop"
    """A part of it, 75 to 90% of each side, from a random place."""
    TURN = "turn"
    """Turned by 3 to 8 degrees either way; the corners take the border's mean colour."""
    DARKEN = "darken"
    """45 to 70% of its brightness."""


ALL = tuple(Transform)


def apply(photo: bytes, *transforms: Transform, seed: int, key: str) -> bytes:
    """Return a JPEG of the photo after the transforms, in their order. ``key`` (such as a product's
    id) makes the random draws of each photo its own."""
    with Image.open(io.BytesIO(photo)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    for transform in transforms:
        draw = random.Random(f"{seed}/{transform}/{key}")
        image = _STEPS[transform](image, draw)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _crop(image: Image.Image, draw: random.Random) -> Image.Image:
    width, height = (max(1, round(side * draw.uniform(0.75, 0.9))) for side in image.size)
    left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _turn(image: Image.Image, draw: random.Random) -> Image.Image:
    degrees = draw.uniform(3, 8) * draw.choice((-1, 1))
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=_border_colour(image))


def _darken(image: Image.Image, draw: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(draw.uniform(0.45, 0.7))


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    strips = (image.crop((0, 0, image.width, 1)), image.crop((0, 0, 1, image.height)))
    means = [ImageStat.Stat(strip).mean for strip in strips]
    return tuple(round(sum(band) / len(band)) for band in zip(*means, strict=True))


_STEPS = {Transform.CROP: _crop, Transform.TURN: _turn, Transform.DARKEN: _darken}
