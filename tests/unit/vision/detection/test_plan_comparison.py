import random
from collections import Counter

import pytest

from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import Detection
from vision.detection.plan import PlannedProduct, ShelfPlace, ShelfPlan, checked
from vision.detection.plan_comparison import FindingKind, PlanComparison, compare

WIDTH = 0.06


def photo(*rows: str) -> list[Detection]:
    """Return detections of a shelf: a letter is a product, ? one that is not in the catalog, and
    a space a gap."""
    found = []
    for number, row in enumerate(rows):
        bottom = (number + 1) / len(rows) - 0.01
        for place, letter in enumerate(row):
            box = PhotoArea(0.02 + WIDTH * place, bottom - 0.1, 0.07 + WIDTH * place, bottom)
            if letter != " ":
                found.append(Detection(box, 1.0, "" if letter == "?" else letter))
    return found


def plan(*rows: str) -> ShelfPlan:
    """Return a plan of these rows: AAB is two facings of A, then one of B."""
    products = []
    for number, row in enumerate(rows, 1):
        for position, letter in enumerate(dict.fromkeys(row), 1):
            products.append(PlannedProduct(letter, row.count(letter), ShelfPlace(number, position)))
    return checked(ShelfPlan(products), 300)


def kinds(found: PlanComparison) -> list[str]:
    """Return the outcomes that deviate, as product and kind."""
    return [
        f"{each.product_id} {each.kind}"
        for each in found.findings
        if each.kind is not FindingKind.PRESENT
    ]


def test_a_shelf_as_planned_has_no_deviation() -> None:
    found = compare(plan("AAB", "CD"), photo("AAB", "CD"))

    assert kinds(found) == []
    assert (found.compliance, found.row_count) == (1.0, 2)


@pytest.mark.parametrize(
    ("planned", "seen", "expected"),
    [
        (["AAB"], ["AB"], ["A MISSING"]),
        (["AAB"], ["AAAB"], ["A SURPLUS"]),
        (["AAB"], ["AABX"], ["X SURPLUS"]),
        (["AAB"], ["AA?"], [" UNIDENTIFIED", "B MISSING"]),
        (["ABC"], ["BCA"], ["A OUT_OF_ORDER"]),
        (["ABCD"], ["DABC"], ["D OUT_OF_ORDER"]),
        (["AB", "CD"], ["AC", "D"], ["C MISPLACED", "B MISSING"]),
        (["AB", "CD"], ["AD", "CB"], ["D MISPLACED", "B MISPLACED"]),
        (["AB"], [], ["A MISSING", "B MISSING"]),
        (["AB"], ["XY"], ["X SURPLUS", "Y SURPLUS", "A MISSING", "B MISSING"]),
        (["A"], ["AA", "A"], ["A SURPLUS", "A SURPLUS"]),
    ],
)
def test_deviations_in_rows(planned: list[str], seen: list[str], expected: list[str]) -> None:
    assert kinds(compare(plan(*planned), photo(*seen))) == expected


def test_an_empty_row_does_not_move_the_rows_below_it() -> None:
    found = compare(plan("AA", "BB", "CC"), photo("AA", "CC"))

    assert kinds(found) == ["B MISSING", "B MISSING"]
    assert [each.row for each in found.findings] == [1, 1, 2, 2, 0, 0]


def test_a_photo_may_show_a_part_of_the_plan() -> None:
    found = compare(plan("AA", "BB", "CC"), photo("BB"))

    assert [each.product_id for each in found.findings if each.kind is FindingKind.PRESENT] == [
        "B",
        "B",
    ]


def test_a_missing_facing_is_expected_in_the_gap() -> None:
    found = compare(plan("ABC"), photo("A C"))

    (missing,) = [each for each in found.findings if each.kind is FindingKind.MISSING]
    assert missing.product_id == "B"
    assert missing.row == 1
    assert missing.box is not None
    assert (missing.box.left, missing.box.right) == (pytest.approx(0.07), pytest.approx(0.14))


def test_a_missing_facing_is_expected_in_the_widest_gap_of_its_product() -> None:
    found = compare(plan("AAAB"), photo("A AB"))

    (missing,) = [each for each in found.findings if each.kind is FindingKind.MISSING]
    assert missing.box is not None
    assert missing.box.left == pytest.approx(0.07)


def test_a_missing_facing_is_expected_where_the_wrong_product_stands() -> None:
    found = compare(plan("ABC"), photo("A?C"))

    wrong = next(each for each in found.findings if each.kind is FindingKind.UNIDENTIFIED)
    missing = next(each for each in found.findings if each.kind is FindingKind.MISSING)
    assert wrong.box is not None
    assert missing.box is not None
    assert missing.box.left - 1e-9 <= wrong.box.left
    assert missing.box.right + 1e-9 >= wrong.box.right
    assert (missing.box.top, missing.box.bottom) == (wrong.box.top, wrong.box.bottom)


def test_a_missing_facing_without_a_visible_gap_has_no_rectangle() -> None:
    found = compare(plan("ABC"), photo("AC"))

    (missing,) = [each for each in found.findings if each.kind is FindingKind.MISSING]
    assert missing.box is None


def test_a_planned_part_of_the_photo_needs_the_product_within_it() -> None:
    left, right = PhotoArea(0.0, 0.0, 0.5, 1.0), PhotoArea(0.5, 0.0, 1.0, 1.0)
    planned = ShelfPlan([PlannedProduct("A", 2, left), PlannedProduct("B", 2, right)])

    found = compare(planned, photo("AA       BA"))

    assert kinds(found) == ["A SURPLUS", "B MISSING"]
    assert found.findings[-1].box == right
    assert kinds(compare(planned, photo("A        BBA"))) == ["A MISPLACED"]


def test_a_product_without_a_place_may_stand_anywhere() -> None:
    planned = ShelfPlan([PlannedProduct("A", 2), PlannedProduct("B", 1, ShelfPlace(1, 1))])

    assert kinds(compare(planned, photo("AB", "A"))) == []
    assert kinds(compare(planned, photo("B", "A"))) == ["A MISSING"]


def test_numbers_add_up_on_random_shelves() -> None:
    chance = random.Random(11)
    for _ in range(200):
        rows = ["".join(sorted(chance.choices("ABCDE", k=chance.randint(1, 6)))) for _ in range(3)]
        planned = plan(*rows)
        seen = photo(
            *["".join(chance.choices("ABCDEFG? ", k=chance.randint(0, 12))) for _ in range(3)]
        )

        found = compare(planned, seen)

        assert found == compare(planned, seen)
        assert sum(each.detection is not None for each in found.findings) == len(seen)
        filled = Counter(each.planned for each in found.findings if each.planned is not None)
        assert filled == {n: each.facings for n, each in enumerate(planned.products)}
        for each in found.counts:
            outcome = {kind: each.found.get(kind, 0) for kind in FindingKind}
            beyond = outcome[FindingKind.SURPLUS]
            assert each.planned == sum(outcome.values()) - beyond
            total = sum(outcome.values()) - outcome[FindingKind.MISSING]
            assert total == sum(one.product_id == each.product_id for one in seen)
        for each in found.findings:
            box = each.box or PhotoArea(0.0, 0.0, 1.0, 1.0)
            assert 0 <= box.left < box.right <= 1
            assert 0 <= box.top < box.bottom <= 1


def test_the_largest_plan_and_photo_are_compared_in_bounded_work() -> None:
    planned = plan(*["ABCDE" * 2] * 30)
    seen = photo(*["ABCDE" * 2] * 30)

    assert kinds(compare(planned, seen)) != []
    long = checked(ShelfPlan([PlannedProduct("A", 300, ShelfPlace(1, 1))]), 300)
    assert compare(long, photo("A" * 300)).compliance == 1.0
