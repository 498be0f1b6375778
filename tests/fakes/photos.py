"""Small photos of every kind that callers send, made on the spot."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pi_heif
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()  # writes them; what ships reads them, with pi_heif
pi_heif.register_heif_opener()

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
}
"""The formats that are taken, by Pillow's names."""


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """Return a picture whose corners and centre all differ."""
    y, x = np.mgrid[:height, :width]
    pixels = (x * 255 // width, y * 255 // height, (seed * 37 + x * y) % 256)
    return Image.fromarray(np.stack(pixels, axis=-1).astype(np.uint8))


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


def frames(kind: str, count: int = 3, **options: Any) -> bytes:
    """Return an animation, or a file of several pages; the first is red, the others blue."""
    first, *others = (Image.new("RGB", (32, 24), "red" if not i else "blue") for i in range(count))
    return encoded(first, kind, save_all=True, append_images=others, **options)


def gif_of(count: int) -> bytes:
    """Return a GIF with this many frames, of 20 bytes each after the first."""
    two = frames("GIF", 2)
    start = two.rindex(b"!\xf9\x04")  # the graphic control block of the last frame
    dot = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"  # one pixel
    return two[:start] + dot * (count - 1) + b";"


def avif_header(*sides: tuple[int, int]) -> bytes:
    """Return the header of an AVIF file with pictures of these sides."""
    boxes = b"".join(b"\0\0\0\x14ispe" + struct.pack(">III", 0, *each) for each in sides)
    return b"\0\0\0\x14ftypavif\0\0\0\0avif" + boxes


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of such chunks, well-formed or not."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG."""
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def claiming(kind: str, width: int, height: int) -> bytes:
    """Return a small file whose header claims another size: a bomb."""
    small = encoded(Image.new("L" if kind in {"PNG", "GIF"} else "RGB", (64, 64)), kind)
    data = bytearray(small)
    if kind == "PNG":
        (name, head), *rest = png_chunks(small)
        return png((name, struct.pack(">II", width, height) + head[8:]), *rest)
    if kind == "JPEG":
        at = small.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif kind == "TIFF":
        for tag, value in ((256, width), (257, height)):
            at = small.index(struct.pack("<HHII", tag, 4, 1, 64))
            data[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    elif kind == "WEBP":
        at = small.index(b"\x9d\x01\x2a") + 3
        data[at : at + 4] = struct.pack("<HH", min(width, 16383), min(height, 16383))
    else:  # AVIF and HEIF: every "image spatial extents"
        at = small.find(b"ispe")
        while at >= 0:
            data[at + 8 : at + 16] = struct.pack(">II", width, height)
            at = small.find(b"ispe", at + 4)
    return bytes(data)
