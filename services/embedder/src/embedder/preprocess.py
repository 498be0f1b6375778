"""A decoded photo to the pixels that the model was trained on. What is done here is part of the
space's version: any change of it makes vectors that must not be compared with older ones.

The centre square of 87.5% of the shorter side gave the best nearest neighbours of the crops that
were tried on phone photos of groceries (1-NN .616, against .572 for the full side and .561 for
padding; 2026-11).
"""

import time

import numpy as np
from PIL import Image

from embedder.model import Pixels, Recipe
from sightline_rules import photos
from sightline_rules.photos import PhotoLimits

OVERSAMPLING = 2
"""A JPEG may be decoded smaller than it is, but no smaller than so many times the model's input."""


def least_side(recipe: Recipe) -> int:
    """Return how many pixels the photo's sides should keep when it is decoded smaller."""
    return OVERSAMPLING * recipe.side


def pixels(photo: bytes, limits: PhotoLimits, recipe: Recipe) -> tuple[bytes, float]:
    """Return a photo file as uint8 RGB [side, side, 3], and the seconds that `crop` took of it.

    To be run where a hostile file does no harm. Raises PhotoRejectedError.
    """
    image = photos.decode(photo, limits, least_side(recipe))
    start = time.perf_counter()
    cropped = crop(image, recipe)
    return cropped.tobytes(), time.perf_counter() - start


def crop(image: Image.Image, recipe: Recipe) -> Pixels:
    """Return the centre square of an RGB photo as uint8 [side, side, 3]."""
    side = min(image.size) * recipe.crop
    left, top = (image.width - side) / 2, (image.height - side) / 2
    resized = image.resize(
        (recipe.side, recipe.side),
        Image.Resampling.BICUBIC,
        box=(left, top, left + side, top + side),
    )
    return np.asarray(resized, dtype=np.uint8)


def words(recipe: Recipe) -> str:
    """Say what is done to a photo; hashed into the space's version, shown to people."""
    return (
        "upright by EXIF, RGB on white; a JPEG decoded at its full size or an exact fraction of "
        f"at least {least_side(recipe)} px; centre square of {recipe.crop:g} of the shorter side; "
        f"antialiased bicubic to {recipe.side}x{recipe.side}; {recipe.normalisation}"
    )
