"""Filters asked of many products: beside the event loop, and no longer than somebody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from retriever.catalog import products
from retriever.columns import off_loop
from retriever.columns.off_loop import INLINE_STEPS, each_passes, filter_steps
from retriever.domain.product import CatalogPart, ProductOrder
from retriever.record import Record
from retriever.record import products as record_products
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from sightline_rules.facts import Facts
from sightline_rules.filters import All, Comparison, Filter, Operator
from sightline_rules.rejections import Rejection
from tests.unit.retriever.conftest import generation, write

BRAND = Comparison("brand", Operator.EQUAL, "even")
WIDE = All((BRAND, Comparison("attributes.k", Operator.CONTAINS, "x")))
"""More than the index of brands answers."""
COUNT, AT = 60, 7
"""Products, and the one at which nobody waits any more."""
MANY = INLINE_STEPS


class Gate:
    """A filter that is in the midst of one product until it is let go."""

    def __init__(self) -> None:
        self.begun, self.going, self.looked = threading.Event(), threading.Event(), 0

    def __call__(self, condition: Filter, facts: Facts) -> bool:
        self.looked += 1
        if self.looked == AT:
            self.begun.set()
            assert self.going.wait(10), "the event loop waits for this"
        return True


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    monkeypatch.setattr(off_loop, "passes", made)
    yield made
    made.going.set()


def asked(count: int) -> Awaitable[list[bool]]:
    return each_passes(BRAND, (Facts() for _ in range(count)), count)


async def test_the_loop_is_free_while_many_products_are_looked_at(gate: Gate) -> None:
    """What lets the filter go on is another coroutine."""

    async def other() -> None:
        await asyncio.to_thread(gate.begun.wait, 10)
        gate.going.set()

    found, _ = await asyncio.gather(asked(MANY), other())
    assert found == [True] * MANY


async def test_it_stops_midway_once_its_caller_goes(gate: Gate) -> None:
    asking = asyncio.ensure_future(asked(MANY))
    assert await asyncio.to_thread(gate.begun.wait, 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    gate.going.set()
    await asyncio.sleep(0.05)  # for as long it could look at all of them
    assert gate.looked == AT


@pytest.mark.parametrize(
    ("count", "in_thread"),
    [(INLINE_STEPS // filter_steps(BRAND, 1), False), (INLINE_STEPS, True)],
)
async def test_few_products_are_not_worth_a_thread(
    count: int, in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def noted(condition: Filter, facts: Facts) -> bool:
        threads.add(threading.get_ident())
        return True

    monkeypatch.setattr(off_loop, "passes", noted)
    await asked(count)
    assert (threading.get_ident() not in threads) == in_thread


def tally(record: Record) -> Awaitable[object]:
    return record.tally("default", CatalogPart(WIDE, 10**9, None, 1_000))


def sweep(record: Record) -> Awaitable[object]:
    return record.sweep("default", CatalogPart(WIDE, 10**9, None, 1_000))


def matching(record: Record) -> Awaitable[object]:
    return record.matching_rows(generation(), WIDE, BRAND, 1_000)


def listed(record: Record) -> Awaitable[object]:
    return products.list_products(
        "default", record, condition=WIDE, order=ProductOrder.NEWEST, page_size=1_000, page_token=""
    )


def rejected(record: Record) -> Awaitable[object]:
    return products.rejections("default", [f"p{n}" for n in range(COUNT)], WIDE, record)


class Late:
    """A filter that takes all the time that its call has left, at one product."""

    def __init__(self) -> None:
        self.looked, self.threads = 0, set[int]()

    def look(self) -> None:
        self.looked += 1
        self.threads.add(threading.get_ident())
        if self.looked == AT:
            deadlines.start(0.0)

    def passes(self, condition: Filter, facts: Facts) -> bool:
        self.look()
        return False

    def rejection(self, condition: Filter, facts: Facts) -> Rejection | None:
        self.look()
        return None


@pytest.mark.parametrize("call", [listed, rejected, tally, sweep, matching])
async def test_every_loop_over_products_stops_midway_and_beside_the_event_loop(
    record: Record, call: Callable[[Record], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await record.create_generation(generation())
    await record.write("default", [write(f"p{n}", brand="even") for n in range(COUNT)])
    late = Late()
    for module in (off_loop, record_products):
        monkeypatch.setattr(module, "passes", late.passes)
    monkeypatch.setattr(products, "rejection", late.rejection)
    with deadlines.within(60.0), pytest.raises(DeadlineExceeded):
        await call(record)
    assert late.looked == AT
    assert threading.get_ident() not in late.threads
    assert len(await record.get("default", [f"p{n}" for n in range(COUNT)])) == COUNT
