"""The last requests that this process answered, by scene: what a changed scene is tried on.

Records of answers have no requests, as these may hold photos, texts and ids of shoppers. They are
kept in memory alone, for an hour. An erasure drops all that name a shopper of its catalog, as only
the ranker knows which visitors were merged into the erased one: at once in the process that is
asked, in all others when they next ask the ranker.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextvars import Context

from gateway.model.query import RequestQuery
from servicekit import deadlines
from servicekit.errors import ServiceError
from sightline_rules.fast_dataclass import fast_dataclass

SECONDS = 3_600.0
"""Seconds for which a request is kept."""
MOST_EACH = 200
"""Maximum number of requests of a scene."""
MOST_BYTES = 2**25
"""Approximate maximum bytes of all requests. Above, the oldest of the scene with most bytes go."""
REQUEST_BYTES, ITEM_BYTES = 1_500, 250
"""Bytes of a request without what it holds, and of an id, a candidate, a facet or a control."""
ASK_SECONDS = 8.0
"""Seconds between two questions for erasures, while a request names a shopper."""
CALL_SECONDS = 2.0
SKEW_MICROS = 60_000_000
"""How far the ranker's clock may be behind: so long after an erasure are requests dropped, too."""
_UNKNOWN = 2**63

LastErasure = Callable[[str], Awaitable[int]]
"""Returns when the newest erasure of a catalog was requested, microseconds since 1970 (UTC); 0:
never. Raises ServiceError."""


@fast_dataclass(frozen=True, slots=True)
class _Kept:
    query: RequestQuery
    time_micros: int
    until: float
    size: int
    """Its approximate bytes."""


class RecentRequests:
    """Requests by catalog and scene, newest last. For one event loop."""

    def __init__(
        self,
        last_erasure: LastErasure | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._last_erasure, self._clock = last_erasure, clock
        self._kept: dict[tuple[str, str], deque[_Kept]] = {}
        self._bytes = Counter[tuple[str, str]]()
        self._total = 0
        """Bytes of all requests."""
        self._forgotten_micros = 0
        """When requests were last forgotten: those under way then are not kept."""
        self._timer: asyncio.TimerHandle | None = None
        self._next_question: asyncio.TimerHandle | None = None
        self._question: asyncio.Task[None] | None = None

    def note(self, scene: str, query: RequestQuery, time_micros: int) -> None:
        """Keep a request that a scene answered. Requires a running event loop.

        `time_micros`: when the request was made, microseconds since 1970 (UTC).
        """
        if time_micros <= self._forgotten_micros:
            return
        key, size = (query.catalog_id, scene), _size(query)
        kept = self._kept.setdefault(key, deque())
        kept.append(_Kept(query, time_micros, self._clock() + SECONDS, size))
        self._count(key, size)
        if len(kept) > MOST_EACH:
            self._drop_oldest(key)
        while self._total > MOST_BYTES:
            self._drop_oldest(self._bytes.most_common(1)[0][0])
        if self._timer is None:
            self._wait(SECONDS)
        if self._next_question is None and query.shopper is not None:
            self._ask_later()

    def of(self, catalog_id: str, scene: str, since_micros: int, most: int) -> list[RequestQuery]:
        """Return the last requests of a scene from a time on, newest first."""
        kept = self._kept.get((catalog_id, scene), ())
        found = [each.query for each in kept if each.time_micros >= since_micros]
        return found[::-1][:most]

    def forget(self, catalog_id: str) -> None:
        """Drop all requests of a catalog."""
        self._forgotten_micros = time.time_ns() // 1_000
        self._drop(catalog_id, lambda _: True)

    def forget_shoppers(self, catalog_id: str) -> None:
        """Drop all requests of a catalog that name a shopper: one is being erased."""
        self._forgotten_micros = time.time_ns() // 1_000
        self._drop(catalog_id, _named)

    def _ask_later(self) -> None:
        if (ask := self._last_erasure) is not None:
            self._next_question = asyncio.get_running_loop().call_later(
                ASK_SECONDS, self._start_question, ask, context=Context()
            )

    def _start_question(self, ask: LastErasure) -> None:
        self._question = asyncio.create_task(self._drop_erased(ask), context=Context())

    async def _drop_erased(self, ask: LastErasure) -> None:
        """Drop what may be of an erased shopper."""
        try:
            await asyncio.gather(*(self._drop_erased_of(one, ask) for one in self._with_shoppers()))
        finally:
            self._next_question = None
            if self._with_shoppers():
                self._ask_later()

    async def _drop_erased_of(self, catalog_id: str, ask: LastErasure) -> None:
        try:
            with deadlines.within(CALL_SECONDS):
                erased = await ask(catalog_id)
        except ServiceError:
            erased = _UNKNOWN
        last = erased + SKEW_MICROS
        self._drop(catalog_id, lambda kept: _named(kept) and kept.time_micros <= last)

    def _with_shoppers(self) -> set[str]:
        """Return the catalogs of requests that name a shopper."""
        return {key[0] for key, kept in self._kept.items() if any(map(_named, kept))}

    def _drop(self, catalog_id: str, which: Callable[[_Kept], bool]) -> None:
        for key in [key for key in self._kept if key[0] == catalog_id]:
            self._kept[key] = deque(each for each in self._kept[key] if not which(each))
            self._count(key, sum([each.size for each in self._kept[key]]) - self._bytes[key])
            self._tidy(key)

    def _drop_oldest(self, key: tuple[str, str]) -> None:
        self._count(key, -self._kept[key].popleft().size)
        self._tidy(key)

    def _count(self, key: tuple[str, str], change: int) -> None:
        self._bytes[key] += change
        self._total += change

    def _tidy(self, key: tuple[str, str]) -> None:
        """Drop a scene's entry without requests."""
        if not self._kept[key]:
            del self._kept[key], self._bytes[key]

    def _wait(self, seconds: float) -> None:
        # In a separate context: the requests belong to no single one.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._expire, context=Context())

    def _expire(self) -> None:
        self._timer, now = None, self._clock()
        for key in list(self._kept):
            while key in self._kept and self._kept[key][0].until <= now:
                self._drop_oldest(key)
        if self._kept:
            self._wait(min([kept[0].until for kept in self._kept.values()]) - now)


def _named(kept: _Kept) -> bool:
    """Return whether a request names a shopper."""
    return kept.query.shopper is not None


def _size(query: RequestQuery) -> int:
    lists = (query.exclude_product_ids, query.anchors, query.followed, query.candidates)
    items = sum(map(len, (*lists, query.audiences, query.signals, query.facets, query.controls)))
    size = 0 if query.filter is None else len(query.filter.content)
    for signal in query.signals:
        size += len(signal.image) + len(signal.text) + len(signal.image_uri)
    for control in query.controls:
        items += len(control.product_ids)
        size += 0 if control.filter is None else len(control.filter.content)
    return REQUEST_BYTES + ITEM_BYTES * items + size
