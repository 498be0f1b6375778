"""A decoded photo to the pixels that the model was trained on. What is done here is part of the
space's version: any change of it makes vectors that must not be compared with older ones.

The centre square of 87.5% of the shorter side gave the best nearest neighbours of the crops that
were tried on phone photos of groceries (1-NN .616, against .572 for the full side and .561 for
padding; 2026-11).
"""

import math
import time

import numpy as np
from PIL import Image

from embedder.domain.photos import WHOLE, Box, PhotoSubject, PhotoView, Pixels
from embedder.domain.recipes import OVERSAMPLING, PhotoRecipe
from embedder.preprocessing import steps
from sightline_rules import photos
from sightline_rules.photos import PhotoLimits

ONE_LOOK = PhotoView()

NARROW = 0.6
"""Share of the square that the third and the fourth view keep. The average of four views found
hit@5 .910 instead of .870 of the same photos in a fitted space (2026-11)."""


SUBJECT = 0.5
"""Share of a photo's sides that a subject is taken to have until it is found."""


def least_side(recipe: PhotoRecipe, look: PhotoView = ONE_LOOK) -> int:
    """Return how many pixels the photo's sides should keep when it is decoded smaller."""
    box = look.box
    share = SUBJECT if look.find else max(box.right - box.left, box.bottom - box.top)
    return math.ceil(OVERSAMPLING * recipe.side / share)


def pixels(
    photo: bytes, limits: PhotoLimits, recipe: PhotoRecipe, look: PhotoView = ONE_LOOK
) -> tuple[bytes, float, PhotoSubject | None]:
    """Return a photo file as uint8 RGB [views, side, side, 3], the seconds that this took after
    decoding, and the subject if it was looked for.

    To be run where a hostile file does no harm. Raises PhotoRejectedError and MemoryNeededError.
    """
    image = photos.decode(photo, limits, least_side(recipe, look))
    start = time.perf_counter()
    subject = steps.found(image) if look.find else None
    box = look.box if subject is None else subject.box
    seen = views(image, recipe, box, look.views)
    return seen.tobytes(), time.perf_counter() - start, subject


def views(image: Image.Image, recipe: PhotoRecipe, box: Box, count: int) -> Pixels:
    """Return an RGB photo's views, uint8 [count, side, side, 3]: see Look."""
    image, box = steps.framed(image, box, recipe.steps)
    seen: list[Pixels] = []
    for share in (recipe.crop, NARROW)[: math.ceil(count / 2)]:
        straight = crop(image, recipe, box, share)
        seen += [straight, straight[:, ::-1]]
    return np.stack(seen[:count])


def crop(
    image: Image.Image, recipe: PhotoRecipe, box: Box = WHOLE, share: float | None = None
) -> Pixels:
    """Return the middle of a square of an RGB photo as uint8 [side, side, 3].

    The square is the photo's largest one, or of a box the least one whose middle shows the longer
    side of the box. `share` of it is the middle; None = the recipe's own.
    """
    left, top, square = _square(image, recipe, box)
    side = square * (recipe.crop if share is None else share)
    left, top = left + (square - side) / 2, top + (square - side) / 2
    resized = image.resize(
        (recipe.side, recipe.side),
        Image.Resampling.BICUBIC,
        box=(left, top, left + side, top + side),
    )
    return steps.done(np.asarray(resized, dtype=np.uint8), recipe.steps)


def _square(image: Image.Image, recipe: PhotoRecipe, box: Box) -> tuple[float, float, float]:
    """Return left, top and side of a box's square in pixels, within the photo."""
    width, height = image.size
    longer = max((box.right - box.left) * width, (box.bottom - box.top) * height)
    side = min(longer / recipe.crop, width, height)
    left = (box.left + box.right) / 2 * width - side / 2
    top = (box.top + box.bottom) / 2 * height - side / 2
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side
