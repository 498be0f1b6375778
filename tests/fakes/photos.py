"""Small photos of every kind that callers send, made on the spot."""

import io
from typing import Any

from PIL import Image


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """Return a picture whose corners and centre all differ."""
    image = Image.new("RGB", (width, height))
    pixels = [
        ((x * 255) // width, (y * 255) // height, (seed * 37 + x * y) % 256)
        for y in range(height)
        for x in range(width)
    ]
    image.putdata(pixels)
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return the picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    """Return a JPEG."""
    return encoded(picture(width, height, seed), quality=95)


def turned(image: Image.Image, orientation: int) -> bytes:
    """Return a JPEG whose EXIF says how to turn it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, quality=95, exif=exif.tobytes())
