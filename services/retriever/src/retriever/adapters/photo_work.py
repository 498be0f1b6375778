"""Requests and results of the retriever's decoding processes: see
servicekit/decoding_process.py."""

import struct
from collections.abc import Sequence
from typing import Final

from retriever.adapters import blurring
from retriever.domain.faces import FaceBox
from servicekit.decoding_wire import ExpectedOutput, Made, MemoryWanted, Refused
from sightline_rules import photos
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoInfo, PhotoLimits, PhotoRejectedError

_ORDER: Final = struct.Struct("!QQ")
_FACE: Final = struct.Struct("!4d")
"""An order with faces behind it asks to blur them."""
WANTED: Final = ExpectedOutput(struct.Struct("!IIQ"))
"""Width, height and perceptual hash."""
_SIZE: Final = struct.Struct("!Q")
"""Size of the file with blurred faces, in bytes."""

prepare = photos.prepare


def order(limits: PhotoLimits, faces: Sequence[FaceBox] = ()) -> bytes:
    """Return the encoded order for `answer`."""
    head = _ORDER.pack(limits.max_bytes, limits.max_pixels)
    return head + b"".join(_FACE.pack(f.left, f.top, f.right, f.bottom) for f in faces)


def file_wanted(limits: PhotoLimits) -> ExpectedOutput:
    """Return the expected form of the answer to an order with faces: the size of the file, and the
    file followed by zeros."""
    return ExpectedOutput(_SIZE, (limits.max_bytes,))


def answer(asked: bytes, photo: bytes, memory: int) -> Made:
    """Inspect a photo as photos.inspect does, or blur faces, within the given bytes of memory."""
    max_bytes, max_pixels = _ORDER.unpack_from(asked)
    limits = PhotoLimits(max_bytes, max_pixels, memory)
    faces = [FaceBox(*sides) for sides in _FACE.iter_unpack(asked[_ORDER.size :])]
    try:
        if faces:
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
