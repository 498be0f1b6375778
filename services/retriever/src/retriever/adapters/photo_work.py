"""Requests and results of the retriever's decoding processes: see
servicekit/decoding/process.py."""

import struct
from collections.abc import Sequence
from typing import Final

from servicekit.decoding.wire import ExpectedOutput, Made, MemoryWanted, Refused
from sightline_rules import blurring, photos
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoInfo, PhotoLimits, PhotoRejectedError

_ORDER: Final = struct.Struct("!QQ")
_FACE: Final = struct.Struct("!4d")
_BLUR: Final = b"b"
"""Behind an order, and before faces: the file with these faces blurred is asked for."""
WANTED: Final = ExpectedOutput(struct.Struct("!IIQ"))
"""Width, height and perceptual hash."""
_SIZE: Final = struct.Struct("!Q")
"""Size of the file with blurred faces, in bytes."""

prepare = photos.prepare


def order(limits: PhotoLimits) -> bytes:
    """Return the encoded order to inspect a photo."""
    return _ORDER.pack(limits.max_bytes, limits.max_pixels)


def blur_order(limits: PhotoLimits, faces: Sequence[PhotoArea]) -> bytes:
    """Return the encoded order for a photo's first picture with its faces blurred."""
    packed = (_FACE.pack(face.left, face.top, face.right, face.bottom) for face in faces)
    return b"".join([order(limits), _BLUR, *packed])


def file_wanted(limits: PhotoLimits) -> ExpectedOutput:
    """Return the expected form of the answer to an order to blur faces: the size of
    the file, and the file followed by zeros."""
    return ExpectedOutput(_SIZE, (limits.max_bytes,))


def answer(asked: bytes, photo: bytes, memory: int) -> Made:
    """Inspect a photo as photos.inspect does, or blur faces, within the given bytes of memory."""
    max_bytes, max_pixels = _ORDER.unpack_from(asked)
    limits = PhotoLimits(max_bytes, max_pixels, memory)
    rest = asked[_ORDER.size :]
    try:
        if rest.startswith(_BLUR):
            faces = [PhotoArea(*sides) for sides in _FACE.iter_unpack(rest[len(_BLUR) :])]
            file = blurring.blurred(photo, limits, faces)
            return Made(_SIZE.pack(len(file)), memoryview(file.ljust(limits.max_bytes, b"\0")))
        info = photos.inspect(photo, limits)
    except PhotoRejectedError as error:
        raise Refused(error.code, str(error)) from error
    except MemoryNeededError as error:
        raise MemoryWanted(error.needed) from error
    return Made(WANTED.facts.pack(info.width, info.height, info.perceptual_hash))


def understood(facts: tuple[int, int, int], photo: bytes, limits: PhotoLimits) -> PhotoInfo:
    """Return a photo's properties; id and media type are computed from its bytes, without
    regard to the answer.

    Raises ValueError for answers that no intact process gives.
    """
    width, height, perceptual_hash = facts
    if not 1 <= width * height <= limits.max_pixels:
        raise ValueError("the photo has an invalid size")
    kind = photos.MEDIA_TYPES[photos.sniff(photo)]
    return PhotoInfo(photos.image_id(photo), kind, width, height, perceptual_hash)


def file_of(facts: tuple[int], file: bytes) -> bytes:
    """Return the file with blurred faces. Raises ValueError for answers that no intact process
    gives."""
    if not 0 < facts[0] <= len(file):
        raise ValueError("the file has an invalid size")
    return file[: facts[0]]
