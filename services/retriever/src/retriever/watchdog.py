"""Watches live searches: do they find what an exact search would, and is `ef` great enough?

A share of all searches is looked at again, after its answer and in the background: compared
exactly with a subset of the generation's rows (see recall.py for the estimate). The subset is
drawn at random when this process first needs it and stays the same, except that its rows are read
again every few minutes. A row counts only while it is as it was when it was read, and was in the
index by then: what is being written or deleted is no miss.

Where graph searches of a generation, under filters of one class, find less than the floor, beyond
doubt, their `ef` is raised by a step, and lowered again, slowly, once they find much more. Their
plans say so. Everything here is of this process: replicas watch on their own.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field, replace

from retriever.model import Generation
from retriever.nearest import Nearest
from retriever.planning import Route
from retriever.ports import WatchRecord
from retriever.recall import WINDOW_SECONDS, FilterClass, Look, Recall, Window, pooled
from retriever.search import Answer, Query
from retriever.subset import Seen, Subset, compare, passing_share, read_subset
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger

AGE_SECONDS = 300.0
"""How long a subset's rows are taken as they were read."""
SETTLE_SECONDS = 10.0
"""From the reading of rows until searches are expected to find them: a cluster shows them late."""
MOST_SUBSETS = 8
"""Generations watched at a time, those that were searched last."""
QUEUE = 8
"""Searches that wait to be looked at; more are let go."""
REST = 9.0
"""After a look, a rest of so many times as long as it took: a tenth of one core, at most."""
LEAST_LOOKS = 20
"""Searches without which nothing is concluded."""
BOOSTS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""By what `ef` is multiplied, step by step."""
RELAX_SECONDS = 1_800.0
"""How long a step lasts, at least, before one back is taken."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class Kind:
    """Searches that are judged together."""

    catalog_id: str
    space: str
    generation: str
    collection: str
    route: Route
    filters: FilterClass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of searches of one kind."""

    kind: Kind
    recall: Recall
    below_floor: bool
    """Whether even the upper end of the interval is."""
    boost: float
    """By what `ef` is multiplied now."""
    time: float
    """Of the newest search, monotonic seconds."""

    @property
    def sure(self) -> bool:
        """Whether there is enough behind it to conclude anything."""
        return self.recall.looks >= LEAST_LOOKS


@dataclass(slots=True)
class _Boost:
    step: int = 0
    changed: float = 0.0
    """Monotonic seconds."""


@dataclass(slots=True)
class Watchdog:
    """The watchdog of one process. Not for several event loops."""

    record: WatchRecord
    share: float = 0.01
    """Of searches that are looked at, 0 to 1; 0 = none."""
    floor: float = 0.95
    """Recall below which something is wrong."""
    rows: int = 2_000
    """Of a subset."""
    settle: float = SETTLE_SECONDS
    rest: float = REST
    clock: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)
    looked: int = 0
    """Searches looked at so far."""
    let_go: int = 0
    """Searches that were to be looked at and were not, as there was no time."""
    _start: str = field(default_factory=lambda: secrets.token_hex(16))
    _waiting: list[Seen] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None
    _subsets: dict[str, Subset] = field(default_factory=dict)
    _windows: dict[Kind, Window] = field(default_factory=dict)
    _verdicts: dict[Kind, Verdict] = field(default_factory=dict)
    _boosts: dict[tuple[str, FilterClass], _Boost] = field(default_factory=dict)

    def boost(self, generation: Generation, share: float) -> float:
        """By what a search is to multiply `ef`; see `search.Boost`."""
        found = self._boosts.get((generation.collection, FilterClass.of(share)))
        return BOOSTS[found.step] if found is not None else 1.0

    def see(self, query: Query, answer: Answer) -> None:
        """Take note of an answered search; returns at once."""
        nearest = answer.nearest
        if nearest is None or not nearest.vectors or self.chance.random() >= self.share:
            return
        if len(self._waiting) >= QUEUE:
            self.let_go += 1
            return
        self._waiting.append(Seen(nearest, query.top_k, answer.freshness.seq, self.clock()))
        if self._task is None or self._task.done():
            # In a context of its own: the search's deadline and its request's id are not ours.
            self._task = asyncio.create_task(self._work(), context=Context())

    def verdicts(self) -> list[Verdict]:
        """What is known of the searches of the last hour. May be called from any thread."""
        oldest = self.clock() - WINDOW_SECONDS
        return [each for each in tuple(self._verdicts.values()) if each.time > oldest]

    async def caught_up(self) -> None:
        """Returns once nothing waits to be looked at."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        """Look at what waits. What the record does not tell now is let go."""
        while self._waiting:
            seen, begun = self._waiting.pop(0), self.clock()
            try:
                await self._look(seen)
            except ServiceError as error:
                self.let_go += 1
                log.warning("search not looked at", reason=error.reason)
            except Exception:  # one look that fails is not to end the watching
                self.let_go += 1
                log.exception("search not looked at")
            await asyncio.sleep(self.rest * (self.clock() - begun))

    async def _look(self, seen: Seen) -> None:
        subset = await self._subset(seen)
        if seen.time < subset.read + self.settle:
            return
        look = await compare(seen, subset, self.record, self.chance)
        self.looked += 1
        nearest = seen.nearest
        kind = await _kind(nearest, subset)
        # What was searched with another `ef` says nothing of this one.
        if kind.route is Route.GRAPH and nearest.plan.boost != self._factor(kind):
            return
        if self._judge(kind, look):
            # The engine may have lost rows: the worker compares it with the record.
            await self.record.want_check(nearest.generation)

    async def _subset(self, seen: Seen) -> Subset:
        """The generation's, read again when it is old."""
        made = seen.nearest.generation
        kept = self._subsets.pop(made.collection, None)
        if kept is None or self.clock() - kept.read > AGE_SECONDS:
            kept = await read_subset(seen, self._start, self.rows, self.record, self.clock)
        self._subsets[made.collection] = kept  # the last one is the one that was used last
        while len(self._subsets) > MOST_SUBSETS:
            self._forget(next(iter(self._subsets)))
        return kept

    def _forget(self, collection: str) -> None:
        del self._subsets[collection]
        for kind in [each for each in self._windows if each.collection == collection]:
            self._windows.pop(kind)
            self._verdicts.pop(kind, None)
        for key in [each for each in self._boosts if each[0] == collection]:
            self._boosts.pop(key)

    def _judge(self, kind: Kind, look: Look) -> bool:
        """Take a look into account; whether searches of the kind fell below the floor by it."""
        window = self._windows.setdefault(kind, Window())
        window.add(look)
        recall = pooled(window.looks)
        if recall is None:
            return False
        before = self._verdicts.get(kind)
        sure = recall.looks >= LEAST_LOOKS
        below = sure and recall.upper < self.floor
        fell = below and (before is None or not before.below_floor)
        if fell:
            log.warning(
                "recall below the floor",
                generation=kind.generation,
                plan=kind.route.value,
                filter=kind.filters.value,
                recall=round(recall.value, 4),
                upper=round(recall.upper, 4),
            )
        if kind.route is Route.GRAPH and sure and self._turn(kind, recall, look.time):
            window.clear()
        # After a turn the verdict stands until there is as much to say of the new `ef`.
        if sure or before is None or not before.sure:
            self._verdicts[kind] = Verdict(kind, recall, below, self._factor(kind), look.time)
        else:
            self._verdicts[kind] = replace(before, time=look.time)
        return fell

    def _factor(self, kind: Kind) -> float:
        found = self._boosts.get((kind.collection, kind.filters))
        return BOOSTS[found.step] if found is not None else 1.0

    def _turn(self, kind: Kind, recall: Recall, now: float) -> bool:
        """Raise or lower `ef` by a step where that is due; whether it was."""
        boost = self._boosts.setdefault((kind.collection, kind.filters), _Boost())
        good = recall.lower >= self.floor and recall.value >= (1 + self.floor) / 2
        if recall.upper < self.floor:
            step = min(boost.step + 1, len(BOOSTS) - 1)
        elif good and now - boost.changed >= RELAX_SECONDS:
            step = max(boost.step - 1, 0)
        else:
            return False
        if step == boost.step:
            return False
        boost.step, boost.changed = step, now
        log.info(
            "ef changed",
            generation=kind.generation,
            filter=kind.filters.value,
            factor=BOOSTS[step],
            recall=round(recall.value, 4),
        )
        return True


async def _kind(nearest: Nearest, subset: Subset) -> Kind:
    # A plan that did not have to know what passes has no guess.
    known = nearest.guess.rows > 0
    share = nearest.guess.share if known else await passing_share(subset, nearest.condition)
    made = nearest.generation
    return Kind(
        made.catalog_id,
        made.space,
        made.name,
        made.collection,
        nearest.plan.route,
        FilterClass.of(share),
    )
