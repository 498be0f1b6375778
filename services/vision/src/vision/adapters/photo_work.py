"""Requests and results of the decoding processes of vision: see servicekit/decoding/process.py."""

import io
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from PIL import Image

from servicekit.decoding.wire import ExpectedOutput, Made, MemoryWanted, Refused
from sightline_rules import blurring, photos
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoInfo, PhotoLimits, PhotoRejectedError
from vision.adapters import frame_facts
from vision.domain.watch_state import FrameFacts

_ORDER: Final = struct.Struct("!QQ")
_AREA: Final = struct.Struct("!4d")
_BLUR: Final = b"b"
"""Behind an order, and before faces: the file with these faces blurred is asked for."""
_PART: Final = b"p"
"""Behind an order, and before an area and faces: the file of this part of the photo is asked
for."""
_FRAME: Final = b"f"
"""Behind an order, and before areas: the facts of a frame and parts of it are asked for."""
WANTED: Final = ExpectedOutput(struct.Struct("!IIQ"))
"""Width, height and perceptual hash."""
_SIZE: Final = struct.Struct("!Q")
"""Size of a file, in bytes."""

prepare = photos.prepare


def order(limits: PhotoLimits) -> bytes:
    """Return the encoded order to inspect a photo."""
    return _ORDER.pack(limits.max_bytes, limits.max_pixels)


def blur_order(
    limits: PhotoLimits, faces: Sequence[PhotoArea], part: PhotoArea | None = None
) -> bytes:
    """Return the encoded order for a photo's first picture, or a part of it, with its faces
    blurred."""
    if part is None:
        return order(limits) + _BLUR + _packed(faces)
    return order(limits) + _PART + _packed([part, *faces])


def frame_order(limits: PhotoLimits, areas: Sequence[PhotoArea]) -> bytes:
    """Return the encoded order for the facts of a frame and parts of it (frame_facts.py)."""
    return order(limits) + _FRAME + _packed(areas)


def file_wanted(limits: PhotoLimits) -> ExpectedOutput:
    """Return the expected form of the answer to `blur_order`: the size of the file, and the file
    followed by zeros."""
    return ExpectedOutput(_SIZE, (limits.max_bytes,))


def answer(asked: bytes, photo: bytes, memory: int) -> Made:
    """Inspect a photo as photos.inspect does, blur faces and cut a part out, or measure a frame,
    within the given bytes of memory."""
    max_bytes, max_pixels = _ORDER.unpack_from(asked)
    limits = PhotoLimits(max_bytes, max_pixels, memory)
    rest = asked[_ORDER.size :]
    mark, areas = rest[:1], [PhotoArea(*sides) for sides in _AREA.iter_unpack(rest[1:])]
    try:
        if mark == _FRAME:
            return frame_facts.measured(photo, limits, areas)
        if mark:
            part = areas.pop(0) if mark == _PART else None
            file = blurring.blurred(photo, limits, areas, part)
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


def frame_of(
    facts: tuple[float, ...], pixels: bytes, limits: PhotoLimits
) -> tuple[FrameFacts, list[bytes]]:
    """Return the facts of a frame, and its parts as BMP files. Raises ValueError for answers that
    no intact process gives."""
    number = frame_facts.CELLS[0] * frame_facts.CELLS[1]
    cells, (bright, sharpness) = facts[:number], facts[number : number + 2]
    sides = facts[number + 2 :]
    if not all(0 <= value <= 1 for value in (*cells, bright)) or not 0 <= sharpness <= 64:
        raise ValueError("the frame has invalid facts")
    room, parts = frame_facts.part_bytes(len(sides) // 2, limits), list[bytes]()
    for place, (width, height) in enumerate(zip(sides[::2], sides[1::2], strict=True)):
        size = int(width), int(height)
        if not 0 < size[0] * size[1] * 3 <= room:
            raise ValueError("a part of the frame has an invalid size")
        start = place * room
        parts.append(_bmp(size, pixels[start : start + size[0] * size[1] * 3]))
    return FrameFacts(cells, bright, sharpness), parts


def _bmp(size: tuple[int, int], pixels: bytes) -> bytes:
    """Return the pixels as a file. Writing and reading the four parts of a frame takes 24 ms of a
    processor as PNG files, and 3 ms as these (2 cores, 2026-11)."""
    file = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(file, "BMP")
    return file.getvalue()


def _packed(areas: Iterable[PhotoArea]) -> bytes:
    return b"".join(_AREA.pack(each.left, each.top, each.right, each.bottom) for each in areas)
