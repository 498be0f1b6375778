"""Directions of a fitted space, by the occasions of a product's photos."""

import numpy as np

from embedder.domain.fitted import Floats
from embedder.fitting.discriminant import Shrinkage, directions
from embedder.fitting.folds import Integers

PRODUCTS, BURST = 40, 30
LOOK, DAY, ANGLE, COUNT = 0, 1, 2, 8
"""Components: a product's look, the light of a day, the angle of a photo; the rest is noise."""


def photos() -> tuple[Floats, Integers, Integers]:
    """Return photos of products on three days, on one of them a burst; products; days."""
    draw = np.random.default_rng(1)
    points, products, days = [], [], []
    for product in range(PRODUCTS):
        look = draw.normal()
        for day, count in enumerate((BURST, 1, 1)):
            light = 2 * draw.normal()
            for _ in range(count):
                point = 0.1 * draw.normal(size=(2, COUNT))
                point[:, LOOK] += look
                point[:, DAY] += light
                point[:, ANGLE] += 0.5 * draw.normal()
                points.append(point)
                products.append(product)
                days.append(3 * product + day)
    return np.array(points, np.float32), np.array(products), np.array(days)


def weight(turned: Floats, component: int) -> float:
    """Return how much a component counts beside the look."""
    return float(np.linalg.norm(turned[component]) / np.linalg.norm(turned[LOOK]))


def test_a_burst_of_photos_does_not_hide_how_days_differ() -> None:
    points, products, days = photos()
    alone = np.arange(len(points))
    by_photo = directions(points, products, alone, COUNT, Shrinkage())
    by_day = directions(points, products, days, COUNT, Shrinkage())
    assert weight(by_day, DAY) < 0.8 * weight(by_photo, DAY)


def test_few_repeated_products_hardly_teach_how_photos_differ() -> None:
    points, products, _ = photos()
    alone = np.unique(products, return_index=True)[1]

    def angle(rows: Integers) -> float:
        each = np.arange(len(rows))
        return weight(directions(points[rows], products[rows], each, COUNT, Shrinkage()), ANGLE)

    few = np.concatenate([alone, alone[:4] + 1])
    assert angle(few) > 0.9 * angle(alone)


def test_products_of_one_occasion_teach_by_their_photos() -> None:
    points, products, days = photos()
    burst = np.bincount(days)[days] == BURST
    points, products = points[burst], products[burst]
    turned = directions(points, products, products, COUNT, Shrinkage())
    assert weight(turned, ANGLE) < 0.8
    assert np.isfinite(turned).all()
