"""Recall of live searches, measured against exact ones.

A share of all searches is checked again, after its answer and in the background: compared exactly
with a subset of the generation's rows (domain/recall.py has the estimate). The subset is drawn at
random when this process first needs it and stays the same, except that its rows are read again
every few minutes. A row counts only if it is unchanged since it was read and was in the index by
then, so that concurrent writes and deletions are no misses.

Where the recall of a generation's searches, under filters of one class, is certainly below the
floor, the log and the metrics show it, and the worker is asked to compare the engine with the
record. No search is changed by it: equal queries have equal plans in every process. Each replica
watches its own searches.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field

from retriever.domain.recall import WINDOW_SECONDS, FilterClass, Look, Recall, Window, pooled
from retriever.record import Record
from retriever.search.nearest import Nearest
from retriever.search.planning import Route
from retriever.search.query import SearchQuery
from retriever.search.recall.subset import Seen, Subset, compare, passing_share, read_subset
from retriever.search.search import FoundNearest
from servicekit.errors import ServiceError
from servicekit.tasks.supervision import ended
from servicekit.telemetry import get_logger

AGE_SECONDS = 300.0
"""Seconds after which a subset's rows are read again."""
SETTLE_SECONDS = 10.0
"""Seconds after the reading of rows until searches are expected to find them: a cluster shows them
late."""
MOST_SUBSETS = 8
"""Maximum number of watched generations: the most recently searched ones."""
QUEUE = 8
"""Maximum number of searches that wait for a check; further ones are skipped."""
REST = 9.0
"""Pause after a check, as a multiple of its duration: checks take at most a tenth of one core."""
LEAST_LOOKS = 20
"""Minimum number of searches for a verdict."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class SearchKind:
    """Searches that are judged together."""

    catalog_id: str
    space: str
    generation: str
    collection: str
    route: Route
    filters: FilterClass


@dataclass(frozen=True, slots=True)
class RecallVerdict:
    """Checks of searches of one kind."""

    kind: SearchKind
    recall: Recall
    below_floor: bool
    """True if even the upper end of the interval is below the floor."""
    time: float
    """Time of the newest search, monotonic seconds."""


@dataclass(slots=True)
class Watchdog:
    """The watchdog of one process. Not for several event loops."""

    record: Record
    share: float = 0.01
    """Share of searches that are checked, 0 to 1."""
    floor: float = 0.95
    """Recall below which a problem is reported, 0 to 1."""
    rows: int = 2_000
    """Rows of a subset."""
    settle: float = SETTLE_SECONDS
    rest: float = REST
    clock: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)
    looked: int = 0
    """Number of searches checked."""
    let_go: int = 0
    """Number of searches skipped for lack of time."""
    _start: str = field(default_factory=lambda: secrets.token_hex(16))
    _waiting: list[Seen] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None
    _subsets: dict[str, Subset] = field(default_factory=dict)
    _windows: dict[SearchKind, Window] = field(default_factory=dict)
    _verdicts: dict[SearchKind, RecallVerdict] = field(default_factory=dict)

    def see(self, query: SearchQuery, answer: FoundNearest) -> None:
        """Enqueue an answered search for a check. Does not block."""
        nearest = answer.nearest
        if nearest is None or not nearest.vectors or self.chance.random() >= self.share:
            return
        if len(self._waiting) >= QUEUE:
            self.let_go += 1
            return
        self._waiting.append(Seen(nearest, query.top_k, answer.freshness.seq, self.clock()))
        if self._task is None or self._task.done():
            # In a separate context, without the search's deadline and request id.
            self._task = asyncio.create_task(self._work(), context=Context())

    def verdicts(self) -> list[RecallVerdict]:
        """Return the recall of the last hour's searches. May be called from any thread."""
        oldest = self.clock() - WINDOW_SECONDS
        return [each for each in tuple(self._verdicts.values()) if each.time > oldest]

    async def caught_up(self) -> None:
        """Return once no search waits to be checked."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Cancel running checks."""
        await ended(self._task)

    async def _work(self) -> None:
        """Check waiting searches. Skip a search if the record is unavailable."""
        while self._waiting:
            seen, begun = self._waiting.pop(0), self.clock()
            try:
                await self._look(seen)
            except ServiceError as error:
                self.let_go += 1
                log.warning("search not checked", reason=error.reason)
            except Exception:  # a failed check must not end the watchdog
                self.let_go += 1
                log.exception("search not checked")
            await asyncio.sleep(self.rest * (self.clock() - begun))

    async def _look(self, seen: Seen) -> None:
        subset = await self._subset(seen)
        if seen.time < subset.read + self.settle:
            return
        look = await compare(seen, subset, self.record, self.chance)
        self.looked += 1
        if self._judge(await _kind(seen.nearest, subset), look):
            # The engine may have lost rows: the worker compares it with the record.
            await self.record.want_check(seen.nearest.generation)

    async def _subset(self, seen: Seen) -> Subset:
        """Return the generation's subset, read again when it is old."""
        made = seen.nearest.generation
        kept = self._subsets.pop(made.collection, None)
        if kept is None or self.clock() - kept.read > AGE_SECONDS:
            kept = await read_subset(seen, self._start, self.rows, self.record, self.clock)
        self._subsets[made.collection] = kept  # ordered by last use, newest last
        while len(self._subsets) > MOST_SUBSETS:
            self._forget(next(iter(self._subsets)))
        return kept

    def _forget(self, collection: str) -> None:
        del self._subsets[collection]
        for kind in [each for each in self._windows if each.collection == collection]:
            self._windows.pop(kind)
            self._verdicts.pop(kind, None)

    def _judge(self, kind: SearchKind, look: Look) -> bool:
        """Add a check. Return whether it brought searches of the kind below the floor."""
        window = self._windows.setdefault(kind, Window())
        window.add(look)
        recall = pooled(window.looks)
        if recall is None:
            return False
        before = self._verdicts.get(kind)
        below = recall.looks >= LEAST_LOOKS and recall.upper < self.floor
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
        self._verdicts[kind] = RecallVerdict(kind, recall, below, look.time)
        return fell


async def _kind(nearest: Nearest, subset: Subset) -> SearchKind:
    # Plans that do not depend on the share have no estimate.
    known = nearest.guess.rows > 0
    share = nearest.guess.share if known else await passing_share(subset, nearest.condition)
    made = nearest.generation
    return SearchKind(
        made.catalog_id,
        made.space,
        made.name,
        made.collection,
        nearest.plan.route,
        FilterClass.of(share),
    )
