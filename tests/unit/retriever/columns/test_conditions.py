"""Filters on columns against the reference, `sightline_rules.filters.passes`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retriever.columns.arrays import Places, count
from retriever.columns.conditions import Conditions
from retriever.columns.table import ProductTable
from retriever.domain import field_codecs
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from sightline_rules import kinds
from sightline_rules.evaluation import texts as lookups
from sightline_rules.evaluation.conditions import AskedFilters
from sightline_rules.evaluation.work import finish
from sightline_rules.facts import Facts, passes
from sightline_rules.fields import MARKETS
from sightline_rules.filter_checks import check
from sightline_rules.filters import (
    All,
    Any,
    Comparison,
    Existence,
    Filter,
    Leaf,
    Membership,
    Money,
    Not,
    Operator,
    Time,
)
from sightline_rules.kinds import FieldKind, fold
from sightline_rules.markets import MarketValues
from tests.unit.retriever.adapters.milvus.test_filters import FACTS, FILTERS
from tests.unit.retriever.rows import row_of
from tests.waiting import until
from tests.work import cost

NAMES = [f"p{number}" for number in range(6)]
SHOPS = st.lists(FACTS, min_size=1, max_size=6)
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | FACTS), max_size=6)
"""Updates of products, and deletions."""
KEY = "attributes.k"


def expected(condition: Filter, shop: dict[str, Facts]) -> set[str]:
    return {name for name, facts in shop.items() if passes(condition, facts)}


def found(condition: Filter, table: ProductTable, by: Conditions) -> set[str]:
    places = np.arange(len(table.ids))
    passing = finish(by.asked([condition], places).passing())[0] & table.alive[places]
    return {table.ids[place] for place in np.flatnonzero(passing).tolist()}


async def every(condition: Filter, table: ProductTable) -> set[str]:
    """Return all products that pass, found at once and after some of them."""
    at_once, by = await Conditions(table).every(condition), Conditions(table)
    await by.passing(condition, np.arange(0, len(table.ids), 2))
    later = await by.every(condition)
    assert later.tolist() == at_once.tolist()
    return {table.ids[place] for place in later.tolist()}


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
    """Evaluate the same conditions, which cache lookups, before and after updates and removals."""
    held = dict(zip(NAMES, shop, strict=False))
    table = ProductTable(row_of(name, facts) for name, facts in held.items())
    by = Conditions(table)
    for condition in asked:
        check(condition)
        assert found(condition, table, by) == expected(condition, held)
    for name, facts in steps:
        if facts is None:
            table.remove([name])
            held.pop(name, None)
        else:
            table.put([row_of(name, facts)])
            held[name] = facts
        for condition in asked:
            assert found(condition, table, by) == expected(condition, held)
            assert asyncio.run(every(condition, table)) == expected(condition, held)


def places(names: Iterable[str], table: ProductTable) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return table.places(list(names))


@pytest.mark.parametrize("condition", [All(), Not(Any()), Not(Existence("price"))])
async def test_only_the_products_asked_about_are_answered_and_none_that_is_not_there(
    condition: Filter,
) -> None:
    table = ProductTable([row_of("a", Facts()), row_of("b", Facts()), row_of("c", Facts())])
    gone = places(["b"], table)
    table.remove(["b"])
    by = Conditions(table)
    asked = np.concatenate([places(["c", "nobody", "a", "c"], table), gone])
    passing = await by.passing(condition, asked)
    assert passing.tolist() == [True, False, True, True, False]
    assert (await by.passing(condition, places([], table))).tolist() == []


async def test_a_table_of_none_passes_nothing() -> None:
    table = ProductTable()
    for condition in (All(), Comparison("brand", Operator.EQUAL, "")):
        by = Conditions(table)
        assert (await by.passing(condition, np.array([-1]))).tolist() == [False]
        assert (await by.passing(condition, np.arange(0))).tolist() == []


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Filter]:
    """Return the evaluated conditions, one for each text that was compared."""
    seen: list[Filter] = []

    note_judged(monkeypatch, seen.extend)
    return seen


def note_judged(monkeypatch: pytest.MonkeyPatch, note: Callable[[Sequence[Leaf]], object]) -> None:
    """Call `note` with the conditions that a fact is judged by, for each such fact."""
    judge = FieldKind.judge

    def noted(kind: FieldKind, leaves: Sequence[Leaf]) -> Callable[[object], list[bool]]:
        inner = judge(kind, leaves)

        def judged(fact: object) -> list[bool]:
            note(leaves)
            return inner(fact)

        return judged

    monkeypatch.setattr(FieldKind, "judge", noted)


def test_what_was_looked_up_is_kept_and_bounded(
    calls: list[Filter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_LEAVES", 2)
    table = ProductTable(row_of(f"p{n}", Facts(brand=f"b{n % 3}")) for n in range(60))
    by = Conditions(table)
    asked = [Comparison("brand", Operator.EQUAL, f"b{n}") for n in range(3)]
    for _ in range(3):
        assert len(found(asked[0], table, by)) == 20
    assert len(calls) == 3, "once for each brand"
    table.put([row_of("new", Facts(brand="b9"))])
    assert len(found(asked[0], table, by)) == 20
    assert len(calls) == 4, "only the brand that is new"
    for condition in (*asked, asked[0]):
        assert len(found(condition, table, by)) == 20
    assert len(calls) == 4 + 4 + 4 + 4, "the one longest unused was forgotten"
    monkeypatch.setattr(lookups, "MOST_BYTES", 3)
    for _ in range(2):
        assert len(found(asked[0], table, by)) == 20
    assert len(calls) == 16 + 4, "what is too large is not kept"


# What a filter costs

SPOKEN = Any(tuple(Comparison(KEY, Operator.CONTAINS, f"word {n}") for n in range(32)))
TITLED = Any(tuple(Comparison("title", Operator.CONTAINS, f"word {n}") for n in range(32)))


def described(count: int) -> ProductTable:
    """Return products with different texts."""
    return ProductTable(
        row_of(f"p{n}", Facts(title=f"Title {n}", attributes={"k": (f"Text {n}", f"Other {n}")}))
        for n in range(count)
    )


@pytest.mark.slow
@pytest.mark.parametrize("condition", [SPOKEN, TITLED])
def test_the_texts_of_a_product_are_folded_once_and_not_once_for_each_condition(
    condition: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, folded = described(600), list[str]()
    fold.cache_clear()
    made = kinds._folded
    monkeypatch.setattr(kinds, "_folded", lambda text: folded.append(text) or made(text))
    finish(Conditions(table).asked([condition], np.arange(600)).passing())
    words = 32
    assert len(folded) == 600 + words


@pytest.mark.full
async def test_a_filter_is_asked_only_of_the_products_in_question(calls: list[Filter]) -> None:
    """Check the number of evaluations beside many other products."""
    table = described(6_000)
    by = Conditions(table)
    for _ in range(2):
        await by.passing(SPOKEN, np.arange(10))
        assert len(calls) == 10 * 32, "what was looked up is kept"
    assert by.asked([SPOKEN], np.arange(10)).steps == 0


@pytest.mark.parametrize(("products", "in_thread"), [(5, False), (500, True)])
async def test_what_takes_longer_leaves_the_event_loop(
    products: int, in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    note_judged(monkeypatch, lambda _: threads.add(threading.get_ident()))
    await Conditions(described(products)).passing(SPOKEN, np.arange(products))
    assert (threading.get_ident() not in threads) == in_thread


@pytest.mark.parametrize("condition", [SPOKEN, TITLED])
async def test_nothing_more_is_looked_at_once_nobody_waits(
    condition: Filter, calls: list[Filter]
) -> None:
    with deadlines.within(0.0), pytest.raises(DeadlineExceeded):
        await Conditions(described(500)).passing(condition, np.arange(500))
    assert calls == []


@pytest.mark.parametrize("places", [np.arange(1), slice(1)])
async def test_a_write_meanwhile_changes_nothing_of_what_was_asked(
    places: Places, calls: list[Filter]
) -> None:
    """Check that a product is evaluated as it was at the request, not as a mixture of two
    states."""
    before = Facts(brand="a", price=Money("EUR", 5), title="red", rating=1.0, create_time=Time(1))
    after = Facts(brand="b", price=Money("EUR", 50), title="blue", rating=5.0, create_time=Time(9))
    table = ProductTable([row_of("p", before)])
    mixed = All(
        (
            Comparison("brand", Operator.EQUAL, "b"),
            Comparison("price", Operator.LESS, Money("EUR", 9)),
        )
    )
    former = All(
        (
            Comparison("title", Operator.CONTAINS, "red"),
            Comparison("rating", Operator.LESS, 2.0),
            Comparison("create_time", Operator.LESS, Time(2)),
            Comparison("market", Operator.EQUAL, "de"),
        )
    )
    asked = Conditions(table).asked([mixed, former], places)
    elsewhere = field_codecs.cells(MARKETS, (MarketValues("fr", None),))
    table.put([row_of("p", after, **elsewhere)])
    assert [each.tolist() for each in finish(asked.passing())] == [[False], [True]]
    assert calls


async def test_the_searches_of_a_request_evaluate_their_filter_once(calls: list[Filter]) -> None:
    """Search in parallel for different positions with one filter."""
    by = Conditions(described(500))
    some = [np.arange(500), np.arange(0, 500, 2), np.arange(300), np.arange(500)]
    found = await asyncio.gather(*(by.passing(SPOKEN, each) for each in some))
    assert [len(each) for each in found] == [500, 250, 300, 500]
    assert len(calls) == 500 * 32


async def test_a_filter_reads_no_column_where_its_answers_are_known() -> None:
    asked: list[int] = []

    class Counted(Conditions):
        def asked(self, conditions: Sequence[Filter], places: Places) -> AskedFilters:
            asked.append(count(places))
            return super().asked(conditions, places)

    by = Counted(described(10))
    for _ in range(2):
        assert not (await by.passing(SPOKEN, np.arange(8))).any()
    await by.passing(SPOKEN, np.arange(10))
    assert asked == [8, 2]


async def test_a_search_evaluates_the_filter_whose_first_search_was_cancelled(
    calls: list[Filter],
) -> None:
    by = Conditions(described(500))
    first = asyncio.ensure_future(by.passing(SPOKEN, np.arange(500)))
    await until(lambda: calls)
    second = asyncio.ensure_future(by.passing(SPOKEN, np.arange(500)))
    await asyncio.sleep(0)
    first.cancel()
    assert not (await second).any()


async def test_a_filter_is_evaluated_anew_of_products_that_changed() -> None:
    table = described(500)
    by, titled = Conditions(table), Comparison("title", Operator.CONTAINS, "new")
    assert not (await by.passing(titled, np.arange(500))).any()
    table.put([row_of("p7", Facts(title="A new title"))])
    assert np.flatnonzero(await by.passing(titled, np.arange(500))).tolist() == [7]


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("condition", [SPOKEN, TITLED, Not(SPOKEN)])
def test_no_step_of_an_expensive_filter_takes_longer_than_twenty_milliseconds(
    condition: Filter,
) -> None:
    """Evaluate on products with the maximum number and length of attributes."""
    texts = tuple(f"Wörter {n} " + "x" * 500 for n in range(128))
    facts = [
        Facts(title=f"{n} " + "t" * 500, attributes={"k": (*texts, str(n))}) for n in range(40)
    ]
    table = ProductTable(row_of(f"p{n}", each) for n, each in enumerate(facts))
    work = Conditions(table).asked([condition], np.arange(40)).passing()
    longest = cost(lambda: next(work, None))
    while work.gi_frame is not None:
        longest = max(longest, cost(lambda: next(work, None)))
    assert longest < 1


async def test_a_filter_is_evaluated_again_of_written_products_alone() -> None:
    asked: list[int] = []

    class Counted(Conditions):
        def asked(self, conditions: Sequence[Filter], places: Places) -> AskedFilters:
            asked.append(count(places))
            return super().asked(conditions, places)

    table = described(20)
    by, titled = Counted(table), Comparison("title", Operator.CONTAINS, "new")
    every = np.arange(20)
    assert not (await by.passing(titled, every)).any()
    table.put([row_of("p7", Facts(title="A new title"))])
    table.remove(["p3"])
    equal = Comparison("title", Operator.CONTAINS, "new")
    for condition in (titled, equal, titled):
        assert np.flatnonzero(await by.passing(condition, every)).tolist() == [7]
    table.put([row_of("later", Facts(title="The new one"))])
    assert np.flatnonzero(await by.passing(titled, np.arange(21))).tolist() == [7, 20]
    assert asked == [20, 2, 1]
