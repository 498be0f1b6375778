"""The embedder's work in decoding processes, with its requests and answers: see
servicekit/decoding/process.py."""

import contextlib
import math
import struct
from collections.abc import Sequence
from typing import Final

from PIL import Image

from embedder.domain.photos import WHOLE, Box, PartView, PhotoView
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from embedder.preprocessing import preprocess, steps
from servicekit.decoding.wire import ExpectedOutput, Made, MemoryWanted, Refused
from sightline_rules import photos
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoLimits, PhotoRejectedError

_STEPS: Final = tuple(PreprocessStep)
_ORDER: Final = struct.Struct("!QQHdB4dBB")
"""Most bytes and pixels, side and crop, views, box, numbers of steps and of views of a part. The
steps follow, then these views, then the sides of each part."""
_PART_VIEWS: Final = tuple(PartView)
_PART: Final = struct.Struct("!4d")
_HEADER_ORDER: Final = struct.Struct("!QQ")
"""Most bytes and pixels. An order of this length asks for the photo's pixels by its header."""
HEADER: Final = ExpectedOutput(struct.Struct("!Q"))
"""Expected form of the answer to such an order: pixels that the photo counts."""
_FACTS: Final = struct.Struct("!dd")
"""Seconds of preprocessing; width by height."""


def prepare() -> None:
    """Import everything that a photo may need: no file can be opened later. Processing a picture in
    every way triggers lazy imports, such as NumPy's."""
    photos.prepare()
    steps.prepare()
    picture = Image.radial_gradient("L").convert("RGB")
    for step in PreprocessStep:
        with contextlib.suppress(ImportError):  # without the extra `opencv`
            preprocess.views(picture, PhotoRecipe(32, 1.0, "", (step,)), WHOLE, 1)


def order(limits: PhotoLimits, recipe: PhotoRecipe, look: PhotoView) -> bytes:
    """Encode the order for `answer`."""
    sizes = (limits.max_bytes, limits.max_pixels, recipe.side, recipe.crop)
    counts = (len(recipe.steps), len(look.part_views))
    head = _ORDER.pack(*sizes, look.views, *_sides(look.box), *counts)
    parts = b"".join(_PART.pack(*_sides(part)) for part in look.parts)
    named = (*map(_STEPS.index, recipe.steps), *map(_PART_VIEWS.index, look.part_views))
    return head + bytes(named) + parts


def header_order(limits: PhotoLimits) -> bytes:
    """Encode the order for `answer` to read a photo's header."""
    return _HEADER_ORDER.pack(limits.max_bytes, limits.max_pixels)


def wanted(recipe: PhotoRecipe, look: PhotoView) -> ExpectedOutput:
    """Return the expected form of the answer to such an order."""
    rows = len(look.parts) * len(look.part_views) or look.views
    return ExpectedOutput(_FACTS, (rows, recipe.side, recipe.side, 3))


def answer(asked: bytes, photo: bytes, memory: int) -> Made:
    """Run preprocess.pixels by an order, within these bytes of memory; or photos.pixels."""
    if len(asked) == _HEADER_ORDER.size:
        return _header(asked, photo)
    max_bytes, max_pixels, side, crop, views, *box, count, ways = _ORDER.unpack_from(asked)
    rest = asked[_ORDER.size :]
    named = tuple(_STEPS[place] for place in rest[:count])
    part_views = tuple(_PART_VIEWS[place] for place in rest[count : count + ways])
    parts = tuple(Box(*sides) for sides in _PART.iter_unpack(rest[count + ways :]))
    limits = PhotoLimits(max_bytes, max_pixels, memory)
    try:
        pixels, seconds, ratio = preprocess.pixels(
            photo,
            limits,
            PhotoRecipe(side, crop, "", named),
            PhotoView(views, Box(*box), parts=parts, part_views=part_views),
        )
    except PhotoRejectedError as error:
        raise Refused(error.code, str(error)) from error
    except MemoryNeededError as error:
        raise MemoryWanted(error.needed) from error
    shaped = memoryview(pixels).cast("B", (len(parts) * ways or views, side, side, 3))
    return Made(_FACTS.pack(seconds, ratio), shaped)


def _header(asked: bytes, photo: bytes) -> Made:
    try:
        return Made(
            HEADER.facts.pack(photos.pixels(photo, PhotoLimits(*_HEADER_ORDER.unpack(asked))))
        )
    except PhotoRejectedError as error:
        raise Refused(error.code, str(error)) from error


def understood(facts: Sequence[float]) -> tuple[float, float]:
    """Return the seconds of preprocessing, and the photo's width by its height. Raises ValueError
    for answers that an intact process never gives."""
    seconds, ratio = facts
    if not 0 < ratio < math.inf:
        raise ValueError("the photo has no sides")
    if not 0 <= seconds < math.inf:
        raise ValueError("the seconds are impossible")
    return seconds, ratio


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom
