"""Photo files of every accepted format, and mutations of them."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable, Sequence

import pillow_heif
from PIL import Image, ImageDraw

MAX_BYTES = 200_000


def seeds(seed: int) -> tuple[bytes, ...]:
    """Return small photos of each format, in each variant that its encoder supports well."""
    pillow_heif.register_heif_opener()
    chance = random.Random(seed)
    base = Image.radial_gradient("L").resize((96, 72)).convert("RGB")
    pen = ImageDraw.Draw(base)
    for _ in range(12):
        corner = (chance.randrange(80), chance.randrange(60))
        box = (*corner, corner[0] + 14, corner[1] + 11)
        pen.rectangle(box, fill=chance.choice(("red", "navy", "gold", "teal")))
    exif = Image.Exif()
    exif[0x0112] = 6
    other = base.rotate(180)
    animated = {"save_all": True, "append_images": [other, base], "duration": 40}
    rgba = base.convert("RGBA")
    rgba.putalpha(128)
    return (
        _file(base, "JPEG", exif=exif),
        _file(base, "JPEG", progressive=True, quality=60),
        _file(base.convert("CMYK"), "JPEG"),
        _file(base.convert("L"), "JPEG"),
        _file(base, "PNG"),
        _file(rgba, "PNG"),
        _file(base.convert("P"), "PNG", bits=4),
        _file(base.convert("I;16"), "PNG"),
        _file(base, "PNG", **animated),
        _file(base, "WEBP"),
        _file(rgba, "WEBP", lossless=True),
        _file(base, "WEBP", **animated),
        _file(base, "GIF"),
        _file(base, "GIF", **animated),
        _file(base, "AVIF", speed=9),
        _file(rgba, "AVIF", speed=9),
        _file(base, "HEIF"),
        _file(rgba, "HEIF"),
        _file(base, "TIFF"),
        _file(base, "TIFF", compression="tiff_lzw", **{"save_all": True, "append_images": [other]}),
        _file(base, "TIFF", compression="tiff_adobe_deflate"),
        _file(base, "TIFF", compression="jpeg"),
        _file(base.convert("1"), "TIFF", compression="group4"),
        _file(base, "BMP"),
        _file(base.convert("P"), "BMP"),
    )


def _file(image: Image.Image, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def mutated(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """Return a photo with one to four mutations; occasionally an unchanged one."""
    data = bytearray(chance.choice(photos))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        chance.choice(_HARMS)(data, chance, photos)
    return bytes(data[:MAX_BYTES])


def _bits(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 64)) if data else 0):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _header(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    end = min(len(data), 64)
    for _ in range(chance.choice((1, 2, 4)) if end else 0):
        data[chance.randrange(end)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _number(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    """Replace a field of four, two or eight bytes by a number that overflows sums."""
    form = chance.choice((">I", "<I", ">H", "<H", ">Q", "<Q"))
    size = struct.calcsize(form)
    if len(data) < size:
        return
    at = chance.randrange(min(len(data) - size + 1, chance.choice((256, len(data)))))
    top = 2 ** (8 * size) - 1
    small = chance.randrange(256)
    value = chance.choice((0, 1, top, top // 2, top // 2 + 1, min(top, 65_535), small))
    data[at : at + size] = struct.pack(form, value)


def _truncate(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _cut(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at : at + chance.choice((1, 4, 16, 256))]


def _repeat(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    piece = data[at : at + chance.choice((1, 4, 64, 1024))]
    times = min(chance.choice((1, 2, 16, 300)), MAX_BYTES // max(1, len(piece)))
    data[at:at] = piece * times


def _join(data: bytearray, chance: random.Random, photos: Sequence[bytes]) -> None:
    """Join two files: append, prepend or insert one."""
    at = chance.choice((0, len(data), chance.randrange(len(data) + 1)))
    data[at:at] = chance.choice(photos)


def _disguise(data: bytearray, chance: random.Random, photos: Sequence[bytes]) -> None:
    """Replace the beginning by that of another format."""
    length = chance.choice((4, 12, 32))
    data[:length] = chance.choice(photos)[:length]


def _noise(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    data[at : at + chance.choice((8, 64, 512))] = chance.randbytes(chance.choice((8, 64, 512)))


def _wrap(data: bytearray, chance: random.Random, _photos: Sequence[bytes]) -> None:
    """Prepend or append data that other programs would take for another format."""
    text = chance.choice(
        (b"<svg onload=x>", b"<html><script>", b"%PDF-1.7\n", b"PK\3\4", bytes(99))
    )
    data[:] = text + data if chance.random() < 0.5 else data + text


_HARMS: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    *(_bits, _bits, _bits, _header, _header, _number, _number, _number),
    *(_truncate, _cut, _repeat, _join, _disguise, _noise, _wrap),
)
