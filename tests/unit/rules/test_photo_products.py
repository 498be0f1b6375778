"""From the products nearest to regions of a photo to its detections."""

import pytest

from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import (
    MOST_ALTERNATIVES,
    Detection,
    RegionMatches,
    arranged,
    counted,
    matched,
    probability,
)

BOX = PhotoArea(0.1, 0.1, 0.2, 0.4)


def near(*similarities: float, alike: frozenset[str] = frozenset()) -> RegionMatches:
    """Return p0, p1 … with these similarities."""
    ids = [f"p{place}" for place in range(len(similarities))]
    return RegionMatches(ids, similarities, [f"image of {each}" for each in ids], alike)


def test_a_probable_product_is_named_with_the_next_ones() -> None:
    found = matched(BOX, 0.9, near(0.95, 0.4, 0.3, 0.2, 0.1), 0.5)
    assert (found.product_id, found.similarity) == ("p0", 0.95)
    assert found.probability == pytest.approx(probability(0.95, 0.55 / 0.6, 0.9))
    assert [each.product_id for each in found.alternatives] == ["p1", "p2", "p3"]
    assert len(found.alternatives) == MOST_ALTERNATIVES
    assert found.matched_image_id == "image of p0"


def test_below_the_probability_the_nearest_is_an_alternative() -> None:
    found = matched(BOX, 0.9, near(0.95, 0.4), 1.0)
    assert found.product_id == ""
    assert [each.product_id for each in found.alternatives] == ["p0", "p1"]


def test_near_duplicates_of_the_nearest_are_no_alternatives_and_no_competitors() -> None:
    apart = matched(BOX, 0.9, near(0.95, 0.94, 0.3), 0.5)
    alike = matched(BOX, 0.9, near(0.95, 0.94, 0.3, alike=frozenset({"p1"})), 0.5)
    assert [each.product_id for each in alike.alternatives] == ["p2"]
    assert alike.probability > apart.probability


def test_a_region_of_which_nothing_is_known_is_an_object() -> None:
    assert matched(BOX, 0.9, near(), 0.5) == Detection(BOX, 0.9)


def test_detections_are_in_reading_order_without_parts_of_others() -> None:
    bottle = Detection(PhotoArea(0.5, 0.1, 0.6, 0.5), 0.9, "a", 0.9)
    label = Detection(PhotoArea(0.52, 0.2, 0.58, 0.4), 0.5, "a", 0.6)
    left = Detection(PhotoArea(0.1, 0.1, 0.2, 0.5), 0.9, "b", 0.9)
    assert arranged([label, bottle, left]) == [left, bottle]
    assert arranged([]) == []


def test_products_are_counted_most_first() -> None:
    found = [Detection(BOX, 0.9, each) for each in ("b", "", "a", "c", "c")]
    assert counted(found) == [("c", 2), ("a", 1), ("b", 1)]
