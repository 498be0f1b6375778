"""Products that a photo shows: from the products nearest to each of its regions to detections.
Pure.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sightline_rules.detections import one_a_place, reading_order
from sightline_rules.photo_areas import PhotoArea

MOST_DETECTIONS: Final = 300
DEFAULT_DETECTIONS: Final = 100
MIN_PROBABILITY: Final = 0.5
"""Default probability that a detection needs for a product."""
MOST_ALTERNATIVES: Final = 3
SEARCHED: Final = MOST_ALTERNATIVES + 2
"""Products to search for by a region: near-duplicates of the nearest are not alternatives."""
SIDE_BY_SIDE: Final = 8
"""Searches by the regions of one photo that run at once."""
MOST_HEAT_MAPS: Final = 20
"""Maximum and default number of heat maps, and of products that are named for them."""

WEIGHTS = (-1.1, 2.7, 1.3, 2.0)
"""Weights in the logit that a region shows its nearest product: constant, and those of `features`.
Fitted on made shelves of products that the bench does not use (`python -m lab.objects.calibrate`).
"""
_LEAST_DISTANCE, _LEAST_LEAD = 1e-3, 1e-2
_ALIKE = 1e-6


@dataclass(frozen=True, slots=True)
class RegionMatches:
    """The products nearest to a region, nearest first."""

    product_ids: Sequence[str]
    similarities: Sequence[float]
    """Cosine of each."""
    image_ids: Sequence[str]
    """Photo of each that matched best."""
    alike: frozenset[str] = frozenset()
    """Near-duplicates of the nearest among them."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another product that a detection may show."""

    product_id: str
    similarity: float
    """Cosine."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A place of a photo that shows a product."""

    box: PhotoArea
    objectness: float
    product_id: str = ""
    """Empty: none is probable enough."""
    probability: float = 0.0
    """Probability that it shows the nearest product."""
    similarity: float = 0.0
    """Cosine to the nearest product."""
    alternatives: tuple[Alternative, ...] = ()
    """The next products; without a `product_id` they begin with the nearest."""
    matched_image_id: str = ""
    """Photo of the nearest product that matched best."""


def probability(similarity: float, lead: float, objectness: float) -> float:
    """Return the probability that a region shows its nearest product.

    `lead`: share of the next product's distance by which the nearest is closer, 0 to 1.
    """
    constant, *weights = WEIGHTS
    values = features(similarity, lead, objectness)
    logit = constant + sum(weight * value for weight, value in zip(weights, values, strict=True))
    return 1 / (1 + math.exp(-logit))


def features(similarity: float, lead: float, objectness: float) -> tuple[float, float, float]:
    """Return what the logit is linear in. Logarithms, as most of what is to be told lies near a
    similarity of 1 and a lead of 0."""
    near = -math.log(max(1 - similarity, _LEAST_DISTANCE))
    return near, math.log(max(lead, _LEAST_LEAD)), objectness


def matched(
    box: PhotoArea, objectness: float, found: RegionMatches, min_probability: float
) -> Detection:
    """Return the detection of a region by its nearest products."""
    ids, similarities = found.product_ids, found.similarities
    if not ids:
        return Detection(box, objectness)
    nearest = [
        Alternative(ids[place], float(similarities[place]))
        for place in range(len(ids))
        if not place or ids[place] not in found.alike
    ]
    first, *others = nearest[: MOST_ALTERNATIVES + 1]
    lead = _lead(first.similarity, others[0].similarity if others else 0.0)
    chance = probability(first.similarity, lead, objectness)
    known = chance >= min_probability
    return Detection(
        box,
        objectness,
        product_id=first.product_id if known else "",
        probability=chance,
        similarity=first.similarity,
        alternatives=tuple((others if known else nearest)[:MOST_ALTERNATIVES]),
        matched_image_id=found.image_ids[0],
    )


def _lead(nearest: float, following: float) -> float:
    return (nearest - following) / max(1 - following, _ALIKE)


def arranged(detections: Sequence[Detection]) -> list[Detection]:
    """Return the detections in reading order, without parts of others with the same product."""
    if not detections:
        return []
    boxes = np.array([_sides(each.box) for each in detections])
    scores = np.array([each.probability + each.objectness for each in detections])
    kept = one_a_place(boxes, scores, [each.product_id for each in detections])
    order = reading_order(boxes[kept])
    return [detections[kept[place]] for place in order]


def counted(detections: Sequence[Detection]) -> list[tuple[str, int]]:
    """Return the products with their numbers of detections, most first, then by id."""
    counts = Counter(each.product_id for each in detections if each.product_id)
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _sides(box: PhotoArea) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom
