"""The bench of filters on a few products."""

import pytest

from lab.cases import filters
from sightline_rules import facts


@pytest.mark.slow
def test_the_dearest_filter_that_is_taken_is_the_one_with_the_goal() -> None:
    found = filters.measure(filters.products(40), 1)
    assert found.taken == {
        name: not name.startswith("249 × contains of an") for name in found.taken
    }
    assert found.taken[filters.DEAREST]
    shown = filters.result(found)
    (table,) = shown.tables
    assert [row[1] for row in table.rows] == ["FILTER_INVALID", "yes", "yes"]
    first, *late = shown.goals
    assert filters.DEAREST in first.name
    assert len(late) == len(found.late) == 2


def test_no_product_meets_a_condition_so_that_all_are_looked_at() -> None:
    shop = filters.products(2)
    for asked in filters.FILTERS.values():
        assert not any(facts.passes(filters.spoken(*asked), each) for each in shop)
