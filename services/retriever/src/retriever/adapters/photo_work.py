"""Requests and results of the retriever's decoding processes: see
servicekit/decoding_process.py."""

import struct
from typing import Final

from servicekit.decoding_wire import ExpectedOutput, Made, MemoryWanted, Refused
from sightline_rules import photos
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoInfo, PhotoLimits, PhotoRejectedError

_ORDER: Final = struct.Struct("!QQ")
WANTED: Final = ExpectedOutput(struct.Struct("!IIQ"))
"""Width, height and perceptual hash."""

prepare = photos.prepare


def order(limits: PhotoLimits) -> bytes:
    """Return the encoded order for `answer`."""
    return _ORDER.pack(limits.max_bytes, limits.max_pixels)


def answer(asked: bytes, photo: bytes, memory: int) -> Made:
    """Inspect a photo as photos.inspect does, within the given bytes of memory."""
    max_bytes, max_pixels = _ORDER.unpack(asked)
    try:
        info = photos.inspect(photo, PhotoLimits(max_bytes, max_pixels, memory))
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
