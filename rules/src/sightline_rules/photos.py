"""Photos from strangers: found out by their bytes, capped, decoded upright.

The catalogue, which must refuse what it could never embed, and the embedder share these rules: a
photo that one accepts the other accepts too. Needs the extra `photos` (Pillow). Decoding takes from
1 ms to some hundreds of ms: call it in a bounded executor.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image, ImageOps

_ORIENTATION = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
MAX_SCANS = 256
"""Most scans of a JPEG. Encoders write about 10; each one costs a pass over the whole picture,
18 ms at 49 million pixels, and need not be longer than 100 bytes (measured 2026-11)."""


class RejectionReason(StrEnum):
    """Why a photo is refused; the value is the public reason."""

    UNDECODABLE = "IMAGE_UNDECODABLE"
    TOO_LARGE = "IMAGE_TOO_LARGE"


class PhotoRejectedError(ValueError):
    """A photo that is not taken; the message says what to do about it."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """How large a photo may be."""

    max_bytes: int = 10 * 2**20
    """Size of the file in bytes."""
    max_pixels: int = 50_000_000
    """Width × height."""


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """What is known of a photo whose every byte was decoded once."""

    image_id: str
    """Lower-case hexadecimal SHA-256 of the bytes."""
    media_type: str
    """image/jpeg, image/png or image/webp."""
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""


def image_id(data: bytes) -> str:
    """The id of a photo: the lower-case hexadecimal SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()


def sniff(data: bytes) -> str:
    """Pillow's name of the format that the first bytes show: JPEG, PNG or WEBP.

    Raises PhotoRejectedError for anything else: a caller's names and media types count for nothing.
    """
    if not data:
        raise PhotoRejectedError(RejectionReason.UNDECODABLE, "the photo has 0 bytes")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise PhotoRejectedError(
        RejectionReason.UNDECODABLE, "the bytes are not a JPEG, PNG or WebP photo"
    )


def inspect(data: bytes, limits: PhotoLimits) -> PhotoInfo:
    """Decodes a photo once, as small as its format allows, and says what it is.

    Raises PhotoRejectedError, also for a file that is cut off.
    """
    with _opened(data, limits) as image:
        width, height = image.size
        image.draft("RGB", (1, 1))  # a JPEG's bytes are all read at an eighth of its size
        image.load()
        if _orientation(image) in _SIDEWAYS:
            width, height = height, width
        return PhotoInfo(
            image_id=image_id(data),
            media_type=Image.MIME[image.format or ""],
            width=width,
            height=height,
        )


def decode(data: bytes, limits: PhotoLimits, min_side: int | None = None) -> Image.Image:
    """The photo, upright, mode RGB, transparency on white, first frame.

    `min_side`: a JPEG may be decoded to a half, quarter or eighth of its size as long as both sides
    keep at least so many pixels; None = full size. Raises PhotoRejectedError.
    """
    with _opened(data, limits) as image:
        if min_side is not None:
            image.draft("RGB", (min_side, min_side))
        image.load()
        return _rgb(_upright(image))


@contextmanager
def _opened(data: bytes, limits: PhotoLimits) -> Iterator[Image.Image]:
    """The photo with only its header read; whatever a decoder throws becomes PhotoRejectedError."""
    if len(data) > limits.max_bytes:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the photo has {len(data):,} bytes; at most {limits.max_bytes:,} are taken",
        )
    name = sniff(data)
    # Within a scan 0xFF is never followed by 0xDA; other segments rarely hold the two by chance.
    if name == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:
        raise PhotoRejectedError(
            RejectionReason.UNDECODABLE, f"the JPEG photo has more than {MAX_SCANS} scans"
        )
    try:
        with Image.open(io.BytesIO(data), formats=[name]) as image:
            _check_pixels(image.size, limits)
            yield image
    except PhotoRejectedError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the photo has too many pixels; at most {limits.max_pixels:,} are taken",
        ) from error
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more.
        raise PhotoRejectedError(
            RejectionReason.UNDECODABLE, f"the {name} photo is damaged or cut off"
        ) from error


def _check_pixels(size: tuple[int, int], limits: PhotoLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise PhotoRejectedError(
            RejectionReason.TOO_LARGE,
            f"the photo has {width:,} × {height:,} pixels; at most {limits.max_pixels:,} are taken",
        )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; damaged EXIF counts as none."""
    with suppress(Exception):
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _upright(image: Image.Image) -> Image.Image:
    if _orientation(image) == 1:
        return image
    with suppress(Exception):
        return ImageOps.exif_transpose(image)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: 16-bit greys scaled to 8, transparency laid on white."""
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image.convert("RGB")
