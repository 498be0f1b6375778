"""Similarity of the catalog's own photos to their nearest other product."""

import numpy as np
import pytest

from retriever.domain.generation import VectorMetric
from retriever.domain.index_values import IndexRow
from retriever.indexing.verification.photo_neighbours import LEAST, PhotoNeighbours
from sightline_rules.facts import Facts

COUNT = 50


def row(place: int, angle: float, *, image: str = "", parent: str = "") -> IndexRow:
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32) * (1 + place)
    name = f"p{place:03}"
    return IndexRow(name, 1, name, image or f"i{place}", Facts(), vector, parent)


def measured(rows, sample=None, metric: VectorMetric = VectorMetric.COSINE) -> tuple[float, ...]:
    found = PhotoNeighbours(rows if sample is None else sample, metric)
    for start in range(0, len(rows), 7):
        found.look(rows[start : start + 7])
    return found.cosines()


def test_the_shares_are_those_of_the_nearest_other_product():
    """Place photo n at n hundredths of a radian from the photo before it, so that later ones are
    farther apart."""
    angles = np.cumsum(np.arange(COUNT) / 100)
    rows = [row(place, angle) for place, angle in enumerate(angles)]
    units = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    expected = np.quantile(cosines.max(axis=1), (0.01, 0.02, 0.05, 0.1, 0.2, 0.5))

    assert measured(rows) == pytest.approx(expected, abs=1e-6)
    assert list(measured(rows)) == sorted(measured(rows))


def test_variants_and_equal_pictures_are_no_other_products():
    """Give each product a twin in the same place: a variant of it, or another with its picture."""
    steps = np.arange(COUNT) / 100
    alone = [row(place, angle) for place, angle in enumerate(steps)]
    variants = [row(COUNT + n, angle, parent=f"p{n:03}") for n, angle in enumerate(steps)]
    copies = [row(COUNT + n, angle, image=f"i{n}") for n, angle in enumerate(steps)]
    others = [row(COUNT + n, angle) for n, angle in enumerate(steps)]
    expected = measured(alone)

    assert measured([*alone, *variants], alone) == pytest.approx(expected)
    assert measured([*alone, *copies], alone) == pytest.approx(expected)
    assert min(measured([*alone, *others], alone)) == pytest.approx(1.0)


def test_too_few_photos_and_other_metrics_say_nothing():
    rows = [row(place, place / 100) for place in range(LEAST)]

    assert measured(rows)
    assert measured(rows[1:]) == ()
    assert measured(rows, metric=VectorMetric.L2) == ()
    assert measured([]) == ()
