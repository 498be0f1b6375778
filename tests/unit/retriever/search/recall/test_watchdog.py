"""The watchdog: the searches that it checks, and its conclusions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from retriever.domain.errors import IndexUnavailable
from retriever.domain.generation import Freshness, Generation
from retriever.domain.index_values import IndexRow
from retriever.domain.recall import WINDOW_SECONDS
from retriever.search.planning import Plan, Route
from retriever.search.query import SearchQuery
from retriever.search.recall import watchdog
from retriever.search.recall.watchdog import Watchdog
from retriever.search.search import FoundNearest
from tests.unit.retriever.search.recall.test_subset import MADE, RED, Rows, rows_of, searched

NEW = Freshness(1, 1, 0, 0, 0)
EVERYTHING = rows_of(400)
QUERY = SearchQuery("default", top_k=20)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Watched:
    """A watchdog that looks at every search, and an engine that lost rows."""

    lost: float = 0.0
    """Share of the rows that the engine does not find."""
    route: Route = Route.GRAPH
    generation: Generation = MADE
    record: Rows = field(default_factory=lambda: Rows(EVERYTHING))
    clock: Clock = field(default_factory=Clock)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2))
    dog: Watchdog = field(init=False)

    def __post_init__(self) -> None:
        self.dog = Watchdog(
            self.record, share=1.0, rest=0.0, clock=self.clock, chance=random.Random(1)
        )

    def answer(self, condition: object = None) -> FoundNearest:
        """Return a search's answer that misses other rows each time."""
        held: Sequence[IndexRow] = [r for r in EVERYTHING if self.random.random() >= self.lost]
        query = self.random.standard_normal(8).astype(np.float32)
        given = {"condition": RED} if condition is RED else {}
        nearest = searched(held, query, k=20, **given).nearest
        share = 0.33 if condition is RED else 1.0
        nearest.guess = replace(nearest.guess, share=share)
        nearest.generation = self.generation
        nearest.plan = Plan(self.route, 40, 100)
        return FoundNearest([], self.generation, NEW, "", nearest=nearest)

    async def search(self, times: int, condition: object = None) -> None:
        """Make this many searches, all of them checked."""
        for _ in range(times):
            self.dog.see(QUERY, self.answer(condition))
            self.clock.now += 1
            await self.dog.caught_up()

    async def settled(self) -> Watched:
        """Return the watchdog after its first read of the rows."""
        await self.search(1)
        self.clock.now += watchdog.SETTLE_SECONDS
        return self


async def test_nothing_is_expected_of_rows_that_were_just_read() -> None:
    watched = Watched(lost=1.0)
    await watched.search(5)
    assert (watched.dog.looked, watched.dog.verdicts()) == (0, [])


async def test_recall_below_the_floor_is_reported_and_the_worker_asked_once() -> None:
    watched = await Watched(lost=0.3).settled()
    for _ in range(3):
        await watched.search(watchdog.LEAST_LOOKS)
        (verdict,) = watched.dog.verdicts()
        assert verdict.below_floor
    assert 0.5 < verdict.recall.lower < 0.7 < verdict.recall.upper < 0.8
    assert watched.record.wanted == ["g"], "the worker is asked once to look for lost rows"


async def test_other_plans_are_watched_too() -> None:
    watched = await Watched(lost=0.3, route=Route.FLAT).settled()
    await watched.search(2 * watchdog.LEAST_LOOKS)
    (verdict,) = watched.dog.verdicts()
    assert (verdict.kind.route, verdict.below_floor) == (Route.FLAT, True)
    assert watched.record.wanted == ["g"]


async def test_kinds_of_searches_are_distinguished_and_forgotten_after_an_hour() -> None:
    watched = await Watched().settled()
    await watched.search(3)
    watched.lost = 0.5
    await watched.search(3, RED)
    found = {each.kind.filters.value: each.recall.value for each in watched.dog.verdicts()}
    assert found["none"] == 1.0
    assert found["wide"] < 1.0
    assert not any(each.below_floor for each in watched.dog.verdicts()), "too few to conclude"
    watched.clock.now += WINDOW_SECONDS
    assert watched.dog.verdicts() == []


async def test_a_share_is_looked_at_and_what_can_not_wait_is_let_go() -> None:
    watched = Watched()
    watched.dog.share = 0.0
    await watched.search(50)
    assert watched.dog._task is None
    watched.dog.share = 1.0
    for _ in range(watchdog.QUEUE + 3):
        watched.dog.see(QUERY, watched.answer())
    watched.dog.see(QUERY, FoundNearest([], MADE, NEW, ""))  # not answered by the engine
    assert watched.dog.let_go == 3
    await watched.dog.close()


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("error", [IndexUnavailable(), ValueError("a mistake of ours")])
async def test_a_look_that_fails_ends_nothing(error: Exception) -> None:
    watched = await Watched().settled()

    async def down(generation: Generation, product_ids: Sequence[str]) -> list[IndexRow]:
        raise error

    watched.record.rows = down  # type: ignore[method-assign]
    await watched.search(2)
    assert (watched.dog.looked, watched.dog.let_go) == (0, 2)
    del watched.record.rows
    await watched.search(1)
    assert len(watched.dog.verdicts()) == 1


async def test_the_generations_searched_last_are_watched() -> None:
    watched = await Watched().settled()
    for number in range(watchdog.MOST_SUBSETS + 1):
        watched.generation = replace(MADE, collection=f"c{number}")
        await watched.search(1)
        watched.clock.now += watchdog.SETTLE_SECONDS
        await watched.search(1)
    assert len(watched.dog.verdicts()) == watchdog.MOST_SUBSETS
    assert len(watched.dog._subsets) == watchdog.MOST_SUBSETS
