"""Detection on made photos as the product does it, without a suite: the objects, the vector of
each, and the nearest catalogue photos."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedder.domain.facings import joined, like, middles_of, second_views, square_ones
from embedder.domain.fitted import unit
from embedder.domain.objects import MAPS, FoundObject, objects
from embedder.domain.photos import PART_VIEWS, Box, PartView
from embedder.embedding.regions import mean_vectors
from embedder.preprocessing import preprocess
from lab.datasets import featured
from lab.objects import fit, material
from lab.objects.composites import Composite
from sightline_rules.detections import overlaps

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

EMBEDDER: Final = "efficientnet_lite0"
SAME: Final = 0.5
"""Intersection by union from which a found box is that of a facing."""


@dataclass(frozen=True, slots=True)
class Names:
    """Nearest products of some boxes."""

    nearest: Sequence[str]
    similarity: Floats
    """[n]: cosine to the nearest product."""
    lead: Floats
    """[n]: share of the next product's distance by which the nearest is closer."""


@cache
def catalog() -> tuple[list[str], Floats]:
    """Return the products and the vectors of their catalogue photos, [81, d]."""
    model = featured.backbone(EMBEDDER)
    photos = [Image.open(path).convert("RGB") for path in material.iconic()]
    seen = np.stack([preprocess.crop(photo, model.recipe) for photo in photos])
    return [material.name_of(path) for path in material.iconic()], embedded(seen)


def embedded(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Return the vectors of photos as the model takes them, [n, d]."""
    parts = [
        featured.opened(EMBEDDER).run(None, {"image": pixels[start : start + featured.BATCH]})[0]
        for start in range(0, len(pixels), featured.BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def decoded(photo: Composite) -> Image.Image:
    """Return a made photo after compression."""
    return Image.open(io.BytesIO(photo.jpeg())).convert("RGB")


def found(image: Image.Image) -> list[FoundObject]:
    """Return the objects in a photo."""
    seen, _ = fit.square(np.asarray(image))
    (maps,) = featured.opened(fit.MODEL).run(None, {"image": seen[None]})[0]
    side = fit.SIDE // fit.STEP
    return objects(maps.reshape(MAPS, side, side), image.width / image.height)


def named(
    image: Image.Image,
    boxes: Doubles,
    *,
    merge: bool = False,
    chosen: Sequence[PartView] = PART_VIEWS,
) -> Names:
    """Return the products nearest to boxes, [n, 4] in pixels, each seen as the product sees it.

    `merge`: boxes that look alike share a vector, as found ones do. `chosen`: views of a box."""
    names, vectors = catalog()
    if not len(boxes):
        return Names([], np.zeros(0, np.float32), np.zeros(0, np.float32))
    similar = vectors_of(image, boxes, merge=merge, chosen=chosen) @ vectors.T
    order = np.argsort(-similar, axis=1)[:, :2]
    first, second = np.take_along_axis(similar, order, axis=1).T
    lead = (first - second) / np.maximum(1 - second, 1e-6)
    return Names([names[place] for place in order[:, 0]], first, lead)


def vectors_of(
    image: Image.Image,
    boxes: Doubles,
    *,
    merge: bool = False,
    chosen: Sequence[PartView] = PART_VIEWS,
) -> Floats:
    """Return the unit vectors of boxes, [n, 4] in pixels, as the product embeds them."""
    recipe, (width, height) = featured.backbone(EMBEDDER).recipe, image.size
    cut = [Box(*sides) for sides in (boxes / [width, height, width, height]).clip(0, 1).tolist()]
    seen, count = preprocess.part_views(image, recipe, cut, chosen), len(chosen)
    if not merge:
        return unit(embedded(seen).reshape(len(cut), count, -1).mean(axis=1))
    if PartView.MIDDLE in chosen:
        middles = seen[list(chosen).index(PartView.MIDDLE) :: count]
    else:
        middles = middles_of(seen, cut, width / height, recipe.crop)
    first = like(cut, middles)
    ones = embedded(seen[[count * place for place in dict.fromkeys(first)]])
    shared = joined(cut, first, ones)
    square = square_ones(cut, width / height)
    seconds = second_views(shared, square) if count > 1 else {}
    others = embedded(seen[[count * place + 1 for place in seconds.values()]])
    return mean_vectors(first, shared, ones, dict(zip(seconds, others, strict=True)))


def in_pixels(image: Image.Image, boxes: Sequence[Box]) -> Doubles:
    """Return boxes in pixels, [n, 4]."""
    width, height = image.size
    sides = np.array([(b.left, b.top, b.right, b.bottom) for b in boxes], np.float64)
    return sides.reshape(-1, 4) * [width, height, width, height]


def facings(photo: Composite) -> Doubles:
    """Return the boxes of a made photo's facings, [n, 4] in pixels."""
    return np.array([each.box for each in photo.facings], np.float64).reshape(-1, 4)


def paired(boxes: Doubles, truth: Doubles) -> list[int]:
    """Return the facing that each box, best first, shows, or −1: greedily, each facing once."""
    shares, free, pairs = overlaps(boxes, truth), set(range(len(truth))), list[int]()
    for row in shares:
        best = max(free, key=lambda place, row=row: row[place], default=-1)  # type: ignore[misc]
        if best >= 0 and row[best] >= SAME:
            free.remove(best)
            pairs.append(best)
        else:
            pairs.append(-1)
    return pairs
