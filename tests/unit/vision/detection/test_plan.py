import math

import pytest

from sightline_rules.photo_areas import PhotoArea
from tests import work
from vision.detection.plan import (
    MOST_ENTRIES,
    PlannedProduct,
    ShelfPlace,
    ShelfPlan,
    checked,
    refuse_products,
)
from vision.domain.errors import PlanInvalid

BOX = PhotoArea(0.1, 0.1, 0.5, 0.5)


def fields(*products: PlannedProduct, most: int = 100) -> list[str]:
    """Return the fields that are rejected."""
    with pytest.raises(PlanInvalid) as caught:
        checked(ShelfPlan(products), most)
    assert caught.value.reason == "PLAN_INVALID"
    return [each.field for each in caught.value.violations]


@pytest.mark.parametrize(
    ("product", "field"),
    [
        (PlannedProduct("", 1), "product_id"),
        (PlannedProduct("a\x00", 1), "product_id"),
        (PlannedProduct("a" * 129, 1), "product_id"),
        (PlannedProduct("a", 0), "facings"),
        (PlannedProduct("a", -1), "facings"),
        (PlannedProduct("a", 301), "facings"),
        (PlannedProduct("a", 1, ShelfPlace(0, 1)), "shelf.row"),
        (PlannedProduct("a", 1, ShelfPlace(101, 1)), "shelf.row"),
        (PlannedProduct("a", 1, ShelfPlace(1, -1)), "shelf.position"),
        (PlannedProduct("a", 1, ShelfPlace(1, 301)), "shelf.position"),
        (PlannedProduct("a", 1, PhotoArea(0.5, 0.1, 0.5, 0.2)), "box"),
        (PlannedProduct("a", 1, PhotoArea(0.5, 0.1, 1.5, 0.2)), "box"),
        (PlannedProduct("a", 1, PhotoArea(math.nan, 0.1, 0.9, 0.2)), "box"),
    ],
)
def test_an_impossible_entry_is_named_by_its_field(product: PlannedProduct, field: str) -> None:
    assert fields(PlannedProduct("good", 1), product) == [f"plan.products[1].{field}"]


def test_a_plan_without_entries_or_with_too_many_is_rejected() -> None:
    assert fields() == ["plan.products"]
    assert fields(*[PlannedProduct(f"p{n}", 1) for n in range(301)], most=300) == ["plan.products"]


def test_more_facings_than_detections_are_rejected() -> None:
    assert fields(PlannedProduct("a", 60), PlannedProduct("b", 41)) == ["plan.products"]
    assert fields(PlannedProduct("a", 300), PlannedProduct("b", 1), most=300) == ["plan.products"]


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        (ShelfPlace(1, 2), ShelfPlace(1, 2), "shelf.position"),
        (BOX, BOX, "box"),
        (BOX, PhotoArea(0.2, 0.1, 0.6, 0.5), "box"),
        (BOX, PhotoArea(0.2, 0.2, 0.3, 0.3), "box"),
    ],
)
def test_the_same_place_twice_is_rejected(
    one: ShelfPlace | PhotoArea, other: ShelfPlace | PhotoArea, field: str
) -> None:
    found = fields(PlannedProduct("a", 1, one), PlannedProduct("b", 1, other))

    assert found == [f"plan.products[1].{field}"]


def test_a_product_without_a_place_is_listed_once() -> None:
    assert fields(PlannedProduct("a", 1), PlannedProduct("a", 2)) == ["plan.products[1].product_id"]


def test_a_product_may_have_several_places() -> None:
    plan = ShelfPlan([PlannedProduct("a", 1, ShelfPlace(1)), PlannedProduct("a", 1, BOX)])

    assert checked(plan, 100).facings == 2


def test_an_entry_without_a_position_follows_the_former_ones_of_its_row() -> None:
    places = [ShelfPlace(1), ShelfPlace(2), ShelfPlace(1, 5), ShelfPlace(1)]
    plan = ShelfPlan([PlannedProduct(f"p{n}", 1, place) for n, place in enumerate(places)])

    found = checked(plan, 100)

    assert [each.place for each in found.products] == [
        ShelfPlace(1, 1),
        ShelfPlace(2, 1),
        ShelfPlace(1, 5),
        ShelfPlace(1, 6),
    ]
    assert found.rows == {1: [0, 2, 3], 2: [1]}


def test_a_hostile_plan_gets_a_short_answer() -> None:
    assert len(fields(*[PlannedProduct("", 0)] * 300)) == 20


def test_unknown_products_are_named_by_their_entries() -> None:
    plan = ShelfPlan([PlannedProduct("a", 1), PlannedProduct("b", 1)])

    with pytest.raises(PlanInvalid) as caught:
        refuse_products(plan, {"b": "is not in the catalog"})

    assert [each.field for each in caught.value.violations] == ["plan.products[1].product_id"]


def test_boxes_of_the_largest_plan_are_compared_at_once() -> None:
    """Check the plan in fewer steps than it has pairs of boxes."""
    side = 18
    boxes = [
        PhotoArea(
            at % side / side, at // side / side, (at % side + 1) / side, (at // side + 1) / side
        )
        for at in range(MOST_ENTRIES)
    ]
    plan = ShelfPlan([PlannedProduct(f"p{at}", 1, box) for at, box in enumerate(boxes)])

    assert work.lines(lambda: checked(plan, MOST_ENTRIES)) < 40 * MOST_ENTRIES
