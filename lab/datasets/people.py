"""Faces for photos of products: those that the package scikit-image ships.

A hundred crops of 25 × 25 pixels of Labeled Faces in the Wild (G. Huang et al., 2007), from
forehead to chin; and NASA's photo of Eileen Collins, of which head and shoulders are used.
"""

import importlib.util
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from sightline_rules.photo_areas import PhotoArea

FACES: Final = 100
"""The first of the file; the others are no faces."""
_UPPER: Final = (60, 0, 400, 400)
_HER_FACE: Final = (118, 60, 212, 180)
"""Within the part above."""


@dataclass(frozen=True, slots=True)
class Person:
    """A picture of a person."""

    picture: Image.Image
    face: tuple[int, int, int, int]
    """Left, top, right and bottom in pixels of the picture."""


def crops() -> list[Person]:
    """Return the small crops."""
    greys = np.load(_folder() / "lfw_subset.npy")[:FACES]
    made = (Image.fromarray((255 * grey).astype(np.uint8)).convert("RGB") for grey in greys)
    return [Person(picture, (0, 0, *picture.size)) for picture in made]


def astronaut() -> Person:
    """Return the large photo."""
    with Image.open(_folder() / "astronaut.png") as photo:
        return Person(photo.convert("RGB").crop(_UPPER), _HER_FACE)


def there() -> bool:
    """Return whether the package is installed."""
    return importlib.util.find_spec("skimage") is not None


def shown(
    photo: Image.Image, person: Person, share: float, draw: random.Random
) -> tuple[Image.Image, PhotoArea]:
    """Return a photo with a person at a random place, and where the face is. `share`: height of the
    face relative to the photo's shorter side."""
    scale = share * min(photo.size) / (person.face[3] - person.face[1])
    sides = [max(round(side * scale), 1) for side in person.picture.size]
    small = person.picture.resize((sides[0], sides[1]), Image.Resampling.LANCZOS)
    left = draw.randint(0, max(photo.width - small.width, 0))
    top = draw.randint(0, max(photo.height - small.height, 0))
    made = photo.copy()
    made.paste(small, (left, top))
    x1, y1, x2, y2 = (each * scale for each in person.face)
    return made, PhotoArea(
        (left + x1) / photo.width,
        (top + y1) / photo.height,
        (left + x2) / photo.width,
        (top + y2) / photo.height,
    )


def _folder() -> Path:
    """Return the package's folder of photos. Raise OSError without the package."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise OSError("scikit-image is not installed: make setup")
    return Path(found.origin).parent / "data"
