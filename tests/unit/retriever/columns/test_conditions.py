"""Filters on columns against the reference, `sightline_rules.filters.passes`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retriever.columns import conditions
from retriever.columns.conditions import Conditions
from retriever.columns.table import Table
from sightline_rules.filter_checks import check
from sightline_rules.filters import (
    All,
    Any,
    Comparison,
    Existence,
    Facts,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    passes,
)
from tests.unit.retriever.adapters.milvus.test_filters import FACTS, FILTERS
from tests.unit.retriever.rows import row_of

NAMES = [f"p{number}" for number in range(6)]
SHOPS = st.lists(FACTS, min_size=1, max_size=6)
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | FACTS), max_size=6)
"""Updates of products, and deletions."""
KEY = "attributes.k"


def expected(condition: Filter, shop: dict[str, Facts]) -> set[str]:
    return {name for name, facts in shop.items() if passes(condition, facts)}


def found(condition: Filter, table: Table, by: Conditions) -> set[str]:
    passing = by.passing(condition, np.arange(len(table.ids)))
    return {table.ids[place] for place in np.flatnonzero(passing).tolist()}


@pytest.mark.slow
@given(SHOPS, STEPS, st.lists(FILTERS, min_size=1, max_size=3))
@example(
    [Facts(attributes={"k": (1.0,)}), Facts(attributes={"k": (True,)}), Facts()],
    [],
    [Membership(KEY, (True,)), Membership(KEY, (1.0,)), Membership(KEY, (1.0, True))],
)
@example(
    [Facts(attributes={"k": (1.0,)}), Facts(attributes={"k": (True,)})],
    [],
    [Comparison(KEY, Operator.EQUAL, True), Comparison(KEY, Operator.EQUAL, 1.0)],
)
@example(
    [Facts(price=Money("EUR", 5)), Facts(price=Money("USD", 5)), Facts()],
    [("p1", Facts(price=Money("CHF", 5)))],
    [
        Comparison("price", Operator.NOT_EQUAL, Money("EUR", 6)),
        Membership("price", (Money("CHF", 5), Money("JPY", 5))),
        Not(Comparison("price", Operator.LESS, Money("GBP", 2**63 - 1))),
    ],
)
@example(
    [Facts(create_time=Time(1)), Facts(update_time=Time(1))],
    [("p0", None)],
    [Membership("create_time", (Time(0), Time(1))), All(), Any(), Not(Existence("price"))],
)
def test_the_products_that_pass_are_those_of_the_rule(
    shop: list[Facts], steps: list[tuple[str, Facts | None]], asked: list[Filter]
) -> None:
    """Before and after updates and removals, by the same conditions, which keep what they looked
    up."""
    held = dict(zip(NAMES, shop, strict=False))
    table = Table(row_of(name, facts) for name, facts in held.items())
    by = Conditions(table)
    for condition in asked:
        check(condition)
        assert found(condition, table, by) == expected(condition, held)
    for name, facts in steps:
        if facts is None:
            table.remove([name])
            held.pop(name, None)
        else:
            table.put(row_of(name, facts))
            held[name] = facts
        for condition in asked:
            assert found(condition, table, by) == expected(condition, held)


def places(names: Iterable[str], table: Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return table.places(list(names))


@pytest.mark.parametrize("condition", [All(), Not(Any()), Not(Existence("price"))])
def test_only_the_products_asked_about_are_answered_and_none_that_is_not_there(
    condition: Filter,
) -> None:
    table = Table([row_of("a", Facts()), row_of("b", Facts()), row_of("c", Facts())])
    gone = places(["b"], table)
    table.remove(["b"])
    by = Conditions(table)
    asked = np.concatenate([places(["c", "nobody", "a", "c"], table), gone])
    assert by.passing(condition, asked).tolist() == [True, False, True, True, False]
    assert by.passing(condition, places([], table)).tolist() == []


def test_a_table_of_none_passes_nothing() -> None:
    table = Table()
    for condition in (All(), Comparison("brand", Operator.EQUAL, "")):
        assert Conditions(table).passing(condition, np.array([-1])).tolist() == [False]
        assert Conditions(table).passing(condition, np.arange(0)).tolist() == []


def test_what_was_looked_up_is_kept_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Filter] = []

    def counted(condition: Filter, facts: Facts) -> bool:
        calls.append(condition)
        return passes(condition, facts)

    monkeypatch.setattr(conditions, "passes", counted)
    monkeypatch.setattr(conditions, "MOST_LOOKUPS", 2)
    table = Table(row_of(f"p{n}", Facts(brand=f"b{n % 3}")) for n in range(60))
    by = Conditions(table)
    asked = [Comparison("brand", Operator.EQUAL, f"b{n}") for n in range(3)]
    for _ in range(3):
        assert len(found(asked[0], table, by)) == 20
    assert len(calls) == 3, "once for each brand"
    table.put(row_of("new", Facts(brand="b9")))
    assert len(found(asked[0], table, by)) == 20
    assert len(calls) == 4, "only the brand that is new"
    for condition in (*asked, asked[0]):
        assert len(found(condition, table, by)) == 20
    assert len(calls) == 4 + 4 + 4 + 4, "the one longest unused was forgotten"
