"""Untrusted photos: identified by their bytes, limited in size, decoded upright.

The catalog, which has to reject photos that can't be embedded, and the embedder share these rules:
both accept the same photos. Each format has one decoder, and no other one ever sees a photo. Of
animations and files of several pages only the first frame is read, so that the number of frames
costs nothing.

Needs the extra `photos` (Pillow, pi-heif). Decoders are C code that a hostile file may crash or
hang, and decoding takes from 1 ms to seconds: call `inspect` and `decode` in a process that may
die, with limits of time and memory. Not thread-safe.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import cos, pi
from operator import mul
from statistics import median

from PIL import AvifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin

from sightline_rules import photo_boxes, photo_memory, photo_parts
from sightline_rules.photo_memory import MemoryNeededError

_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""Imported here, so that Pillow does not import all of its plugins to find these."""

_SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transpositions that turn a photo upright, by EXIF orientation."""
_SCAN = b"\xff\xda"
"""Start of a scan of a JPEG. Within a scan 0xFF is never followed by 0xDA; other segments rarely
hold the two by chance."""
MAX_SCANS = 256
"""Maximum number of scans of a JPEG. Encoders write about 10; each one costs a pass over the
whole picture, 18 ms at 49 million pixels, and need not be longer than 100 bytes (measured
2026-11)."""
_ORDINARY_SCANS = 16
"""Scans of a JPEG that count as one picture: as many more make its pixels count again."""

_SIDE = 32
"""Side of the hashed thumbnail in pixels."""
_DRAFT = 2 * _SIDE
"""Least side to which a JPEG is decoded for its hash."""
_SAMPLED = 1024
"""Longest side of the sample from which the thumbnail is made."""
_EVEN = 16
"""Levels of luminance, of 256, within which a picture is one even area: noise would decide."""
_WAVES = [[cos(pi * k * (2 * x + 1) / (2 * _SIDE)) for x in range(_SIDE)] for k in range(8)]
_FREQUENCIES = sorted(
    ((down, across) for down in range(8) for across in range(8)), key=lambda at: (sum(at), at)
)[:56]
"""Coarse to fine."""
_CHROMA = (-12, -3, 3, 12)
"""Levels that tell colours apart."""
_CENTRE = (8, 8, 24, 24)
"""The part where the product is, rather than its background."""
_CENTRE_PIXELS = 16 * 16

_MODES = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
    | {"I", "I;16", "I;16L", "I;16B", "I;16N"}
)
"""Pillow's colour modes that can be turned into RGB as people see them."""


class Format(StrEnum):
    """The accepted formats, by Pillow's names of their decoders."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    GIF = "GIF"
    AVIF = "AVIF"
    HEIF = "HEIF"
    TIFF = "TIFF"
    BMP = "BMP"


MEDIA_TYPES = {one: f"image/{one.lower()}" for one in Format} | {Format.HEIF: "image/heic"}
"""Media types of the formats."""

WORDS = "JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP"
"""The formats, for people."""

_STARTS = (
    (b"\xff\xd8\xff", Format.JPEG),
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"II+\0", Format.TIFF),
    (b"MM\0+", Format.TIFF),
    (b"BM", Format.BMP),
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_MAX_BRANDS = 32


class RejectionReason(StrEnum):
    """Why a photo is rejected; the value is the public reason."""

    UNDECODABLE = "IMAGE_UNDECODABLE"
    TOO_LARGE = "IMAGE_TOO_LARGE"


class PhotoRejectedError(ValueError):
    """The photo is rejected; the message says how to fix it."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def code(self) -> int:
        """The reason as a number from 1, in which it crosses from the process that decodes."""
        return 1 + list(RejectionReason).index(self.reason)

    @classmethod
    def of(cls, code: int, message: str) -> PhotoRejectedError:
        """Return the error of a code; an unknown code counts as UNDECODABLE."""
        large = code == 1 + list(RejectionReason).index(RejectionReason.TOO_LARGE)
        return cls(RejectionReason.TOO_LARGE if large else RejectionReason.UNDECODABLE, message)


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """Limits of photos."""

    max_bytes: int = 10 * 2**20
    """Size of the file in bytes."""
    max_pixels: int = 50_000_000
    """Width × height."""
    max_memory: int | None = None
    """Maximum bytes that decoding may take, estimated from the header. `None` if unlimited."""
    pixels_setting: str = ""
    """Name of the setting behind `max_pixels`, for error messages. Empty if unknown."""


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """Properties of a photo whose every byte was decoded once."""

    image_id: str
    """Lower-case hexadecimal SHA-256 of the bytes."""
    media_type: str
    """One of MEDIA_TYPES."""
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    perceptual_hash: int = 0
    """Perceptual hash, 64 bits (see duplicates). 0 for an evenly coloured picture."""


def image_id(data: bytes) -> str:
    """Return the id of a photo: the lower-case hexadecimal SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()


def sniff(data: bytes) -> Format:
    """Return the format that the first bytes show, without calling a decoder.

    Raises PhotoRejectedError for anything else: names and media types from callers are ignored.
    """
    if not data:
        raise PhotoRejectedError(RejectionReason.UNDECODABLE, "the photo has 0 bytes")
    for start, name in _STARTS:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return Format.AVIF
    if brands & _HEIF_BRANDS:
        return Format.HEIF
    raise PhotoRejectedError(RejectionReason.UNDECODABLE, f"the bytes are not a {WORDS} photo")


def check_size(data: bytes, limits: PhotoLimits) -> None:
    """Raise PhotoRejectedError when the file is too large."""
    if len(data) > limits.max_bytes:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the photo has {len(data):,} bytes; at most {limits.max_bytes:,} are taken",
        )


def inspect(data: bytes, limits: PhotoLimits) -> PhotoInfo:
    """Decode a photo once, as small as its format allows, and return its properties.

    Raises PhotoRejectedError, also for a truncated file, and MemoryNeededError before anything is
    decoded.
    """
    with _opened(data, limits) as (name, image):
        width, height = image.size
        # A JPEG's bytes are all read, at an eighth of its size where that leaves enough to hash.
        turn = _orientation(image, name, data)
        _load(image, name, limits, _DRAFT, to_rgb=False, turned=turn != 1)
        if turn in _SIDEWAYS:
            width, height = height, width
        return PhotoInfo(
            image_id=image_id(data),
            media_type=MEDIA_TYPES[name],
            width=width,
            height=height,
            perceptual_hash=_perceptual_hash(image, turn),
        )


def pixels(data: bytes, limits: PhotoLimits) -> int:
    """Return the pixels that a photo counts, by its header: nothing is decoded.

    Width × height; of a JPEG with more than 16 scans a multiple. Raises PhotoRejectedError.
    """
    with _opened(data, limits) as (name, image):
        return _counted(image, name, data)


def decode(data: bytes, limits: PhotoLimits, min_side: int | None = None) -> Image.Image:
    """Return the photo: upright, mode RGB, transparency on white, first frame.

    `min_side`: a JPEG may be decoded to a half, quarter or eighth of its size as long as both sides
    keep at least so many pixels; `None`: full size. Raises PhotoRejectedError, and
    MemoryNeededError before anything is decoded.
    """
    with _opened(data, limits) as (name, image):
        turn = _orientation(image, name, data)
        _load(image, name, limits, min_side, to_rgb=True, turned=turn != 1)
        return _rgb(image.transpose(_TURNS[turn]) if turn in _TURNS else image)


def prepare() -> None:
    """Import all decoders now: for a process that can't open files afterwards."""
    Image.preinit()
    _add_heif()
    from PIL import MpoImagePlugin  # noqa: F401 - what cameras write with two pictures in a JPEG


def _load(
    image: Image.Image,
    name: Format,
    limits: PhotoLimits,
    min_side: int | None,
    *,
    to_rgb: bool,
    turned: bool,
) -> None:
    """Decode, a JPEG as small as `min_side` allows. Raises MemoryNeededError before decoding."""
    whole = image.width * image.height
    if min_side is not None:
        image.draft("RGB", (min_side, min_side))
    if limits.max_memory is not None:
        needed = photo_memory.needed(
            name,
            image.width * image.height,
            progressive=whole if "progressive" in image.info else 0,
            transparent=to_rgb and _is_transparent(image),
            turned=to_rgb and (turned or _turned_by_pillow(image)),
            kept=not to_rgb,
        )
        if needed > limits.max_memory:
            raise MemoryNeededError(needed)
    image.load()


def _perceptual_hash(image: Image.Image, orientation: int) -> int:
    """Return Zauner's pHash (2010, phash.org/docs/pubs/thesis_zauner.pdf) without its 8 finest
    bits, above 8 bits of colour; see duplicates. Return 0 for an evenly coloured picture.

    Made of 32 × 32 pixels: 1 bit for each of the lowest frequencies of their discrete cosine
    transform that is above the median.
    """
    turn = _TURNS.get(orientation)
    if max(image.size) > _SAMPLED:
        # Of a large photo a sample: to convert all of it could take more memory than to decode it.
        scale = _SAMPLED / max(image.size)
        sides = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(sides, Image.Resampling.NEAREST)
    small = _rgb(image).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    if turn is not None:
        small = small.transpose(turn)
    luminance, *chroma = small.convert("YCbCr").split()
    values = luminance.tobytes()
    if max(values) - min(values) < _EVEN:
        return 0
    rows = [values[start : start + _SIDE] for start in range(0, _SIDE * _SIDE, _SIDE)]
    across = [[sum(map(mul, wave, row)) for row in rows] for wave in _WAVES]
    # By the place (down, across) in the transform.
    found = [sum(map(mul, _WAVES[down], across[right])) for down, right in _FREQUENCIES]
    middle = median(found[1:])  # the first is the mean brightness, larger than all others
    bits = [value > middle for value in found]
    for channel in chroma:
        level = sum(channel.crop(_CENTRE).tobytes()) / _CENTRE_PIXELS - 128
        bits += [level > threshold for threshold in _CHROMA]
    return sum(1 << place for place, bit in enumerate(reversed(bits)) if bit)


def _brands(data: bytes) -> set[bytes]:
    """Return the brands of an ISO base media file; empty for another file."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * _MAX_BRANDS)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}


@contextmanager
def _opened(data: bytes, limits: PhotoLimits) -> Iterator[tuple[Format, Image.Image]]:
    """Open a photo with only its header read; any decoder's exception becomes
    PhotoRejectedError."""
    check_size(data, limits)
    name = sniff(data)
    if name is Format.JPEG and data.count(_SCAN) > MAX_SCANS:
        raise PhotoRejectedError(
            RejectionReason.UNDECODABLE, f"the JPEG photo has more than {MAX_SCANS} scans"
        )
    try:
        # A photo with odd metadata is still a photo.
        with warnings.catch_warnings(action="ignore"), _decoder(name, data) as image:
            _check(image, name, limits, data)
            image.info.pop("xmp", None)  # by which Pillow would turn a TIFF, see photo_parts
            yield name, image
    except (PhotoRejectedError, MemoryNeededError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the photo has too many pixels; at most {limits.max_pixels:,} are taken",
        ) from error
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more.
        raise PhotoRejectedError(RejectionReason.UNDECODABLE, _complaint(name, error)) from error


def _decoder(name: Format, data: bytes) -> Image.Image:
    """Open the photo with the one decoder of its format."""
    if name is Format.HEIF:
        _add_heif()
    elif name is Format.AVIF:
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # many photos are decoded at once
        data = photo_boxes.without_metadata(data)  # Pillow fails at damaged EXIF
    elif name is Format.PNG:
        data = b"".join(photo_parts.png_pictures(data))  # and at long or damaged texts
    return Image.open(io.BytesIO(data), formats=[name])


@cache
def _add_heif() -> None:
    import pi_heif  # decodes only: its wheels leave out the GPL encoder of pillow-heif

    # An embedded thumbnail may show something else than the photo.
    pi_heif.register_heif_opener(
        decode_threads=1, thumbnails=False, depth_images=False, aux_images=False
    )


def _complaint(name: Format, error: Exception) -> str:
    if "MAX_TEXT" in str(error):
        return "the PNG photo carries more than 1 MiB in a colour profile"
    return f"the {name} photo is damaged or cut off"


def _counted(image: Image.Image, name: Format, data: bytes) -> int:
    scans = data.count(_SCAN) if name is Format.JPEG else 1
    return image.width * image.height * max(_ORDINARY_SCANS, scans) // _ORDINARY_SCANS


def _check(image: Image.Image, name: Format, limits: PhotoLimits, data: bytes) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the photo has {width:,} × {height:,} pixels; at most {limits.max_pixels:,} are taken",
        )
    if (counted := _counted(image, name, data)) > limits.max_pixels:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the JPEG photo has {width:,} × {height:,} pixels in {data.count(_SCAN)} scans, which"
            f" count as {counted:,} pixels; at most {limits.max_pixels:,} are taken",
        )
    if image.mode not in _MODES:
        raise PhotoRejectedError(
            RejectionReason.UNDECODABLE,
            f"the {name} photo has {image.mode} colours; grey, palette, RGB and CMYK are taken",
        )


def _orientation(image: Image.Image, name: Format, data: bytes) -> int:
    """Return the EXIF orientation by which an opened photo is still to be turned, 1 to 8."""
    if name is Format.AVIF:  # Pillow puts the turn of AVIF's own boxes in the place of EXIF's
        return photo_parts.exif_orientation(image.info.get("exif", b""))
    if name is Format.TIFF and _turned_by_pillow(image):
        return 1
    return photo_parts.orientation(data)


def _turned_by_pillow(image: Image.Image) -> bool:
    """Return whether Pillow turns a TIFF as it decodes it: it knows orientations of some types."""
    return getattr(image, "tag_v2", {}).get(photo_parts.ORIENTATION) in _TURNS


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info


def _rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: 16-bit greys scaled to 8, transparency on white."""
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if _is_transparent(image):
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image.convert("RGB")
