"""Effects of controls today: the ranker's counts, and answers that these can't include yet.

The ranker counts when it writes an answer's record; it is polled beside the requests. While it does
not answer, this gateway's own answers are added to the last counts. An answer whose record was
dropped counts only until the next poll.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from servicekit import deadlines
from servicekit.errors import ServiceError

LOOK_SECONDS = 2.0
"""Seconds between two polls of the ranker."""
LAG_SECONDS = 1.0
"""Seconds after which an answer is included in the ranker's counts, which are written every tenth
of a second."""
CALL_SECONDS = 1.0
DAY_SECONDS = 86_400

MOST_NAMES = 1_000
"""Maximum number of controls in one call."""

Ask = Callable[[str, int, Sequence[str]], Awaitable[Mapping[str, int]]]
"""Reads the ranker's counts of a catalog's controls on a day."""


@dataclass(slots=True)
class _Held:
    """Known counts of a catalog's day."""

    day: int
    names: frozenset[str] = frozenset()
    """Controls that the ranker was asked for."""
    counts: Mapping[str, int] = field(default_factory=dict)
    looked: float = 0.0
    """Time of the last poll."""
    own: list[tuple[float, str]] = field(default_factory=list)
    """This gateway's answers that are not in `counts`: time and control."""

    @property
    def all(self) -> Mapping[str, int]:
        return Counter(self.counts) + Counter(name for _, name in self.own)


class Exposures:
    """By catalog: number of today's answers (UTC) in which each control had an effect."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def of(self, catalog_id: str, names: Sequence[str], ask: Ask) -> Mapping[str, int]:
        """Return the counts of these controls, and possibly others.

        Only the first request of a day for a control waits for the ranker.
        """
        held, now = self._today(catalog_id), self._clock()
        if not held.names.issuperset(names):
            together = held.names.union(names)
            held.names = together if len(together) <= MOST_NAMES else frozenset(names)
            # A running poll did not request them.
            await asyncio.shield(asyncio.create_task(self._asked(catalog_id, ask)))
        elif now - held.looked > LOOK_SECONDS:
            self._look(catalog_id, ask)
        return self._today(catalog_id).all

    def add(self, catalog_id: str, names: Iterable[str]) -> None:
        """Count an answer of this gateway."""
        now = self._clock()
        self._today(catalog_id).own += [(now, name) for name in names]

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        self._held.pop(catalog_id, None)

    def _today(self, catalog_id: str) -> _Held:
        day = int(self._clock() // DAY_SECONDS)
        held = self._held.get(catalog_id)
        if held is None or held.day != day:
            held = self._held[catalog_id] = _Held(day)
        return held

    def _look(self, catalog_id: str, ask: Ask) -> None:
        """Poll the ranker in the background, one call at a time."""
        if catalog_id not in self._looking:
            task = self._looking[catalog_id] = asyncio.create_task(self._asked(catalog_id, ask))
            task.add_done_callback(lambda _: self._looking.pop(catalog_id, None))

    async def _asked(self, catalog_id: str, ask: Ask) -> None:
        held, began = self._today(catalog_id), self._clock()
        try:
            with deadlines.within(CALL_SECONDS):
                counts = await ask(catalog_id, held.day, sorted(held.names))
            held.own = [(at, name) for at, name in held.own if at > began - LAG_SECONDS]
        except ServiceError:
            counts, held.own = held.all, []  # otherwise the list would grow without limit
        held.counts = counts
        held.looked = self._clock()
