"""Material of made photos: one half of the products for the fit of the head, the other half
for the bench, with backgrounds of different photos."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np

from lab.datasets import grocery
from lab.objects.composites import MOST_FACINGS, Composite, Cutout, Material, composite, cutout

SEED: Final = 20261126
PRODUCTS_TO_FIT: Final = 41
EMPTY: Final = 0.06
"""Share of photos without a product."""
DRAWN: Final = 0.55
"""Share of drawn packages in photos for the fit."""
SIZES: Final = ((1280, 960), (960, 1280), (1100, 1100), (1600, 900))
"""Width and height of made photos."""
Part = Literal["fit", "known", "bench", "strangers"]
"""Half of the material: "known" is "fit" without drawn packages, which are in no catalog, and
"strangers" is "bench" with them."""
_NUMBERS: Final[dict[Part, int]] = {"fit": 1, "known": 1, "bench": 2, "strangers": 3}
STRANGERS: Final = 0.25
"""Share of drawn packages among "strangers"."""


@cache
def material(part: Part) -> Material:
    """Return what the photos of a part are made of. Raises OSError without the data sets."""
    folder = grocery.find()
    if folder is None:
        raise OSError("$SIGHTLINE_DATA has no folder grocery")
    if part == "known":
        return replace(material("fit"), drawn=0.0)
    chosen = products("fit" if part == "fit" else "bench")
    if part == "fit":
        names = {each.name for each in chosen}
        seen = [path for path in sorted(folder.glob("train/**/*.jpg")) if path.parent.name in names]
        textures = sorted((folder.parent / "clothing").glob("**/*.jpg"))
        return Material(chosen, [*seen, *textures], textures, DRAWN)
    photos = sorted(folder.glob("val/**/*.jpg"))
    made = Material(chosen, photos, photos)
    return replace(made, drawn=STRANGERS) if part == "strangers" else made


@cache
def iconic() -> list[Path]:
    """Return the catalogue photos, one a product. Raises OSError without the data set."""
    folder = grocery.find()
    if folder is None:
        raise OSError("$SIGHTLINE_DATA has no folder grocery")
    return sorted(folder.glob("iconic*/**/*_Iconic.jpg"))


def name_of(path: Path) -> str:
    """Return the product that a catalogue photo shows."""
    return path.stem.removesuffix("_Iconic")


@cache
def products(part: Literal["fit", "bench"]) -> list[Cutout]:
    """Return the products of a half, without their backgrounds."""
    order = np.random.default_rng(SEED).permutation(len(iconic()))
    half = order[:PRODUCTS_TO_FIT] if part == "fit" else order[PRODUCTS_TO_FIT:]
    return [cutout(iconic()[place], name_of(iconic()[place])) for place in half.tolist()]


def photo(part: Part, number: int, count: int | None = None) -> Composite:
    """Make a photo; equal numbers give equal photos. `count`: facings; None: 0 to 60, fewer more
    often."""
    draw = np.random.default_rng([number, _NUMBERS[part]])
    if count is None:
        some = draw.random() >= EMPTY
        count = round(float(np.exp(draw.uniform(0, np.log(MOST_FACINGS))))) if some else 0
    size = SIZES[int(draw.integers(len(SIZES)))]
    return composite(material(part), count, [SEED, number, _NUMBERS[part]], size)
