"""Effects of controls today: the ranker's counts, and answers that these can't include yet.

The ranker counts when it writes an answer's record; it is polled beside the requests. While it does
not answer, this gateway's own answers are added to the last counts. An answer whose record was
dropped counts only until the next poll.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from servicekit.errors import ServiceError
from servicekit.tasks.refreshed import Refreshed, RefreshRules

LOOK_SECONDS = 2.0
"""Seconds between two polls of the ranker."""
LAG_SECONDS = 1.0
"""Seconds after which an answer is included in the ranker's counts, which are written every tenth
of a second."""
CALL_SECONDS = 1.0
DAY_SECONDS = 86_400

RULES = RefreshRules(fresh=LOOK_SECONDS, again=LOOK_SECONDS, longest=2 * CALL_SECONDS)
"""Twice the time of the call, so that one without an answer ends as a read with counts."""
MOST_NAMES = 1_000
"""Maximum number of controls in one call."""

Ask = Callable[[str, int, Sequence[str]], Awaitable[Mapping[str, int]]]
"""Reads the ranker's counts of a catalog's controls on a day."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of a catalog's controls on a day."""

    day: int
    names: frozenset[str]
    """Controls that the ranker was asked for."""
    counts: Mapping[str, int]
    up_to: float
    """Time of this gateway's newest answer that they include."""


class Exposures:
    """By catalog: number of today's answers (UTC) in which each control had an effect."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._counts = Refreshed[str, _Counts]("exposures", RULES, clock)
        self._own = defaultdict[str, list[tuple[float, str]]](list)
        """This gateway's answers, by catalog: time and control."""

    async def of(self, catalog_id: str, names: Sequence[str], ask: Ask) -> Mapping[str, int]:
        """Return the counts of these controls, and possibly others.

        Only the first request of a day for a control waits for the ranker.
        """
        known = self._today(catalog_id)
        wanted = known.names.union(names)
        if len(wanted) > MOST_NAMES:
            wanted = frozenset(names)

        async def read() -> _Counts:
            return await self._asked(catalog_id, wanted, ask)

        # A running read was not asked for new names.
        anew = not known.names.issuperset(names)
        await self._counts.get(catalog_id, read, anew=anew)
        return self._with_own(catalog_id, self._today(catalog_id))

    def add(self, catalog_id: str, names: Iterable[str]) -> None:
        """Count an answer of this gateway."""
        now = self._clock()
        self._own[catalog_id] += [(now, name) for name in names]

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        self._counts.forget(catalog_id)
        self._own.pop(catalog_id, None)

    def _day(self) -> int:
        return int(self._clock() // DAY_SECONDS)

    def _today(self, catalog_id: str) -> _Counts:
        """Return today's counts; empty ones if none were read."""
        day, known = self._day(), self._counts.peek(catalog_id)
        if known is not None and known.day == day:
            return known
        return _Counts(day, frozenset(), {}, float(day * DAY_SECONDS) - 1)

    def _with_own(self, catalog_id: str, known: _Counts, most: float = inf) -> Mapping[str, int]:
        """Return counts with this gateway's answers that they lack, up to a time."""
        own = self._own[catalog_id] = [
            (at, name) for at, name in self._own[catalog_id] if at > known.up_to
        ]
        return Counter(known.counts) + Counter(name for at, name in own if at <= most)

    async def _asked(self, catalog_id: str, names: frozenset[str], ask: Ask) -> _Counts:
        day, up_to = self._day(), self._clock() - LAG_SECONDS
        try:
            async with asyncio.timeout(CALL_SECONDS):
                counts = await ask(catalog_id, day, sorted(names))
        except (ServiceError, TimeoutError):  # the list of our own would grow without limit
            counts = self._with_own(catalog_id, self._today(catalog_id), up_to)
        return _Counts(day, names, counts, up_to)
