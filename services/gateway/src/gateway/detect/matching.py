"""From a region's nearest products to a detection. Pure."""

import math
from collections.abc import Sequence

import numpy as np

from gateway.model.detections import MOST_ALTERNATIVES, Alternative, Detection
from sightline_core.opaque_messages import Box
from sightline_core.search import NearestProducts
from sightline_rules.detections import one_a_place, reading_order

WEIGHTS = (-1.1, 2.7, 1.3, 2.0)
"""Weights in the logit that a region shows its nearest product: constant, and those of `features`.
Fitted on made shelves of products that the bench does not use (`python -m lab.objects.calibrate`).
"""
_LEAST_DISTANCE, _LEAST_LEAD = 1e-3, 1e-2
_ALIKE = 1e-6


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
    box: Box, objectness: float, found: NearestProducts, min_probability: float
) -> Detection:
    """Return the detection of a region by its nearest products."""
    ids, similarities = found.columns.product_ids, found.similarities
    if not ids:
        return Detection(box, objectness)
    alike = frozenset(found.collapsed[0]) if found.collapsed else frozenset[str]()
    nearest = [
        Alternative(ids[place], float(similarities[place]))
        for place in range(len(ids))
        if not place or ids[place] not in alike
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


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom
