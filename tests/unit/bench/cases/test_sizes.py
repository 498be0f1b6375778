"""Growth compares a catalog with a smaller one of the same shape; what is missing says why."""

from __future__ import annotations

import pytest

from bench.cases import sizes
from bench.cases.monolith.asking import PRODUCT, USER
from bench.cases.monolith.load import Cells, LoadCell
from bench.cases.sizes import ALONE, GROWN, SizeFigures
from bench.harness.model import GoalVerdict
from local_suite.programs import TARGETS


def _cells(title: str, kind: str, cost: float) -> Cells:
    return {
        (title, kind, callers): LoadCell(
            title, kind, callers, [cost] * 5, [10.0] * 5, [2 * cost] * 5, [2 * cost] * 50
        )
        for callers in (1, 8)
    }


def _found() -> SizeFigures:
    few, many = ((sizes.title(size, TARGETS[0])) for size in GROWN)
    million = sizes.title(ALONE[1], TARGETS[1])
    cells = {
        **_cells(few, PRODUCT, 10.0),
        **_cells(many, PRODUCT, 14.0),
        **_cells(many, USER, 5.0),
        **_cells(million, PRODUCT, 30.0),
    }
    return SizeFigures(cells, {few: 1.0, many: 2.0, million: 4.0})


def test_growth_is_that_of_one_shape_from_the_small_catalog_to_the_large() -> None:
    found = [each for each in sizes.result(_found()).goals if each.measured is not None]
    assert [each.measured and each.measured.value for each in found] == [pytest.approx(1.4)] * 2
    assert all("apart, recommend by product" in each.name for each in found)
    assert {each.verdict for each in found} == {GoalVerdict.MET}


def test_a_shape_or_size_that_was_not_measured_keeps_its_goals_and_says_why() -> None:
    missing = [each for each in sizes.result(_found()).goals if each.measured is None]
    assert len(missing) == 6
    assert all(each.missing for each in missing)


def test_every_measured_catalog_is_a_row_with_its_memory() -> None:
    (table,) = sizes.result(_found()).tables
    shown = [(row[0], row[1], row[2], row[-1]) for row in table.rows]
    assert shown == [
        ("3,000, Milvus Lite", "apart", "recommend by product", "1.0"),
        ("100,000, Milvus Lite", "apart", "recommend by product", "2.0"),
        ("100,000, Milvus Lite", "apart", "recommend for a user", "2.0"),
        ("1,000,000, Milvus server", "one process", "recommend by product", "4.0"),
    ]
