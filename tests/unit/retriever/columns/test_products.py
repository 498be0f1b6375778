"""Filters on many products: beside the event loop, and within the caller's deadline."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from retriever.catalog import products
from retriever.columns.products import each_passes, filter_steps
from retriever.domain.product import CatalogPart, ProductOrder
from retriever.record import Record
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from servicekit.tasks.off_loop import INLINE_STEPS
from sightline_rules.facts import Facts
from sightline_rules.filters import All, Comparison, Leaf, Operator
from sightline_rules.kinds import FieldKind
from tests.unit.retriever.conftest import generation, write

BRAND = Comparison("brand", Operator.EQUAL, "even")
WIDE = All((BRAND, Comparison("attributes.k", Operator.CONTAINS, "x")))
"""Filter that needs more than the index of brands."""
COUNT, AT = 60, 7
"""Products, and the fact at which the deadline passes."""


@pytest.mark.parametrize(
    ("count", "in_thread"),
    [(INLINE_STEPS // filter_steps(BRAND, 1), False), (INLINE_STEPS, True)],
)
async def test_few_products_are_not_worth_a_thread(count: int, in_thread: bool) -> None:
    threads = set[int]()

    def made() -> Facts:
        threads.add(threading.get_ident())
        return Facts(brand="even")

    found = await each_passes(BRAND, (made() for _ in range(count)), count)
    assert found == [True] * count
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
    """Judge of attributes that takes all the time that its call has left, at one product."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked, self.threads, self._left = 0, set[int](), 60.0
        judge = FieldKind.judge

        def noted(kind: FieldKind, leaves: Sequence[Leaf]) -> Callable[[object], list[bool]]:
            inner = judge(kind, leaves)
            return lambda fact: self._look() or inner(fact)

        monkeypatch.setattr(FieldKind, "judge", noted)
        monkeypatch.setattr(deadlines, "remaining", lambda: self._left)

    def _look(self) -> None:
        self.looked += 1
        self.threads.add(threading.get_ident())
        if self.looked == AT:
            self._left = -1.0


@pytest.mark.parametrize("call", [listed, rejected, tally, sweep, matching])
async def test_every_loop_over_products_stops_midway_and_beside_the_event_loop(
    record: Record, call: Callable[[Record], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await record.create_generation(generation())
    await record.write("default", [write(f"p{n}", brand="even") for n in range(COUNT)])
    monkeypatch.setattr("servicekit.tasks.off_loop.TURN_SECONDS", 0.0)
    late = Late(monkeypatch)
    with pytest.raises(DeadlineExceeded):
        await call(record)
    assert AT <= late.looked < COUNT
    assert threading.get_ident() not in late.threads
    monkeypatch.undo()
    assert len(await record.get("default", [f"p{n}" for n in range(COUNT)])) == COUNT
