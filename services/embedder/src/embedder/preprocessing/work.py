"""What the processes that decode do for the embedder, how they are asked, and what their answers
mean: see servicekit/decoding_process.py."""

import contextlib
import math
import struct
from collections.abc import Sequence
from typing import Final

from PIL import Image

from embedder.domain.photos import MAX_ALTERNATIVES, WHOLE, Box, PhotoSubject, PhotoView
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from embedder.preprocessing import preprocess, steps
from servicekit.decoding_wire import ExpectedOutput, Made, MemoryWanted, Refused
from sightline_rules import photos
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoLimits, PhotoRejectedError

_STEPS: Final = tuple(PreprocessStep)
_MOST_BOXES: Final = 1 + MAX_ALTERNATIVES
_ORDER: Final = struct.Struct("!QQHdB?4d")
_FACTS: Final = struct.Struct(f"!dB{4 * _MOST_BOXES}d")
"""Seconds after decoding; how many boxes were found; the sides of as many as there may be."""


def prepare() -> None:
    """Import all that a photo may need: later no file can be opened. What is imported where it is
    first used, as NumPy does, is met by looking at a picture in every way."""
    photos.prepare()
    steps.prepare()
    picture = Image.radial_gradient("L").convert("RGB")
    for step in PreprocessStep:
        with contextlib.suppress(ImportError):  # without the extra `opencv`
            preprocess.views(picture, PhotoRecipe(32, 1.0, "", (step,)), WHOLE, 1)


def order(limits: PhotoLimits, recipe: PhotoRecipe, look: PhotoView) -> bytes:
    """Say what is wanted of a photo, for `answer` to read."""
    sizes = (limits.max_bytes, limits.max_pixels, recipe.side, recipe.crop)
    head = _ORDER.pack(*sizes, look.views, look.find, *_sides(look.box))
    return head + bytes(map(_STEPS.index, recipe.steps))


def wanted(recipe: PhotoRecipe, look: PhotoView) -> ExpectedOutput:
    """Say what the answer to such an order has to look like."""
    return ExpectedOutput(_FACTS, (look.views, recipe.side, recipe.side, 3))


def answer(asked: bytes, photo: bytes, memory: int) -> Made:
    """Do as preprocess.pixels does, by an order, in so many bytes of memory."""
    max_bytes, max_pixels, side, crop, views, find, *box = _ORDER.unpack_from(asked)
    named = tuple(_STEPS[place] for place in asked[_ORDER.size :])
    limits = PhotoLimits(max_bytes, max_pixels, memory)
    try:
        pixels, seconds, subject = preprocess.pixels(
            photo, limits, PhotoRecipe(side, crop, "", named), PhotoView(views, Box(*box), find)
        )
    except PhotoRejectedError as error:
        raise Refused(error.code, str(error)) from error
    except MemoryNeededError as error:
        raise MemoryWanted(error.needed) from error
    boxes = [] if subject is None else [subject.box, *subject.alternatives]
    sides = [side for box in boxes for side in _sides(box)]
    sides += [0.0] * (4 * _MOST_BOXES - len(sides))
    shaped = memoryview(pixels).cast("B", (views, side, side, 3))
    return Made(_FACTS.pack(seconds, len(boxes), *sides), shaped)


def understood(facts: Sequence[float], look: PhotoView) -> tuple[float, PhotoSubject | None]:
    """Return the seconds after decoding, and the subject if it was looked for.

    Raises ValueError for what no honest process answers.
    """
    seconds, count, *sides = facts
    if not 0 <= seconds < math.inf or not look.find <= count <= look.find * _MOST_BOXES:
        raise ValueError("no such number of boxes can be found, or in no such time")
    boxes = [Box(*sides[at : at + 4]) for at in range(0, 4 * int(count), 4)]
    if not all(0 <= b.left < b.right <= 1 and 0 <= b.top < b.bottom <= 1 for b in boxes):
        raise ValueError("a box lies outside of its photo")
    return seconds, PhotoSubject(boxes[0], tuple(boxes[1:])) if boxes else None


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom
