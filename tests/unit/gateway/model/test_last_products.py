"""What other products share with a shopper's last ones."""

import pytest

from gateway.model.last_products import LastProducts, last_products_of
from sightline.common.v1.candidate_pb2 import CandidateColumns
from sightline_core.columns import ProductColumns

LAST = LastProducts(
    ids=["juice", "milk"],
    weights=[0.6, 0.2],
    paths=[("Drinks", "Juice"), ("Drinks", "Milk")],
    brands=["Aurora", ""],
)


def products(**columns: list[str]) -> ProductColumns:
    ids = columns["product_ids"]
    return ProductColumns(ids, blocks=[(CandidateColumns(**columns), range(len(ids)))])


@pytest.mark.parametrize(
    ("path", "brand", "affinity"),
    [
        ("Drinks > Juice", "Aurora", 1.0),
        ("Drinks > Juice", "Other", 0.875),
        ("Drinks > Milk", "", 0.625),
        ("Shoes", "", 0.0),
        ("", "Aurora", 1.0),
    ],
)
def test_an_affinity_is_that_to_the_category_or_to_the_brand(
    path: str, brand: str, affinity: float
) -> None:
    asked = products(product_ids=["p"], category_paths=[path], brands=[brand])
    assert LAST.affinities(asked) == pytest.approx([affinity])


def test_without_brands_categories_count_alone() -> None:
    last = LastProducts(["a"], [0.3], [("Drinks", "Juice")], [""])
    assert last.affinities(products(product_ids=["p"], category_paths=["Drinks"])) == [0.5]
    nothing = LastProducts(["a"], [0.3], [()], [""])
    assert nothing.affinities(products(product_ids=["p"], category_paths=["Drinks"])) == [0.0]


def test_groups_are_by_topmost_category_and_the_heaviest_come_first() -> None:
    last = LastProducts(
        ids=["shoe", "juice", "milk", "hat"],
        weights=[0.4, 0.3, 0.2, 0.1],
        paths=[("Shoes",), ("Drinks", "Juice"), ("Drinks", "Milk"), ("Hats",)],
        brands=[""] * 4,
    )
    found = [[(one.product_id, one.weight) for one in group] for group in last.groups()]
    assert found == [[("juice", 0.3), ("milk", 0.2)], [("shoe", 0.4)]]


def test_the_closest_is_the_newest_that_shares_most() -> None:
    assert LAST.closest("Drinks > Milk", "") == "milk"
    assert LAST.closest("Drinks > Tea", "") == "juice"
    assert LAST.closest("Shoes", "") == ""
    assert LastProducts(["a"], [0.3], [()], [""]).closest("Shoes", "") == "a"


def test_what_is_shared_is_the_brand_else_the_deepest_category() -> None:
    assert LAST.shared("Shoes", "Aurora") == ("brand", "Aurora")
    assert LAST.shared("Drinks > Milk > Whole", "") == ("category", "Drinks > Milk")
    assert LAST.shared("Shoes", "") is None


def test_products_that_the_record_lost_are_left_out() -> None:
    found = last_products_of(
        {"gone": 0.4, "b": 0.3, "a": 0.2},
        products(product_ids=["a", "b"], category_paths=["A", "B > C"]),
    )
    assert found == LastProducts(["b", "a"], [0.3, 0.2], [("B", "C"), ("A",)], ["", ""])
