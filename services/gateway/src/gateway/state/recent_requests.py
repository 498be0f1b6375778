"""The last requests that this process answered, by scene: what a changed scene is tried on.

Records of answers have no requests, as these may hold photos, texts and ids of shoppers. They are
kept in memory alone, for an hour; the process that is asked to erase a shopper drops theirs.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from gateway.model.query import RequestQuery
from sightline_core.shoppers import Shopper

SECONDS = 3_600.0
"""Seconds for which a request is kept."""
MOST_EACH = 200
"""Maximum number of requests of a scene."""
MOST_BYTES = 2**25
"""Approximate maximum bytes of all requests. Above, the oldest of the scene with most bytes go."""
REQUEST_BYTES, ITEM_BYTES = 1_500, 250
"""Bytes of a request without what it holds, and of an id, a candidate, a facet or a control."""


@dataclass(frozen=True, slots=True)
class _Kept:
    query: RequestQuery
    time_micros: int
    until: float
    size: int
    """Its approximate bytes."""


class RecentRequests:
    """Requests by catalog and scene, newest last. For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], deque[_Kept]] = {}
        self._bytes = Counter[tuple[str, str]]()
        self._forgotten_micros = 0
        """When a catalog or a shopper was last forgotten: requests under way then are not kept."""
        self._timer: asyncio.TimerHandle | None = None

    def note(self, scene: str, query: RequestQuery, time_micros: int) -> None:
        """Keep a request that a scene answered. Requires a running event loop.

        `time_micros`: when the request was made, microseconds since 1970 (UTC).
        """
        if time_micros <= self._forgotten_micros:
            return
        key, size = (query.catalog_id, scene), _size(query)
        kept = self._kept.setdefault(key, deque())
        kept.append(_Kept(query, time_micros, self._clock() + SECONDS, size))
        self._bytes[key] += size
        if len(kept) > MOST_EACH:
            self._drop_oldest(key)
        while self._bytes.total() > MOST_BYTES:
            self._drop_oldest(self._bytes.most_common(1)[0][0])
        self._wait(SECONDS)

    def of(self, catalog_id: str, scene: str, since_micros: int, most: int) -> list[RequestQuery]:
        """Return the last requests of a scene from a time on, newest first."""
        kept = self._kept.get((catalog_id, scene), ())
        found = [each.query for each in kept if each.time_micros >= since_micros]
        return found[::-1][:most]

    def forget(self, catalog_id: str) -> None:
        """Drop all requests of a catalog."""
        self._forget(catalog_id, lambda _: True)

    def forget_shopper(self, catalog_id: str, shopper: Shopper) -> None:
        """Drop all requests of a shopper, who is being erased."""
        self._forget(catalog_id, lambda query: query.shopper == shopper)

    def _forget(self, catalog_id: str, which: Callable[[RequestQuery], bool]) -> None:
        self._forgotten_micros = time.time_ns() // 1_000
        for key in [key for key in self._kept if key[0] == catalog_id]:
            self._kept[key] = deque(each for each in self._kept[key] if not which(each.query))
            self._bytes[key] = sum([each.size for each in self._kept[key]])
            self._tidy(key)

    def _drop_oldest(self, key: tuple[str, str]) -> None:
        self._bytes[key] -= self._kept[key].popleft().size
        self._tidy(key)

    def _tidy(self, key: tuple[str, str]) -> None:
        """Drop a scene's entry without requests."""
        if not self._kept[key]:
            del self._kept[key], self._bytes[key]

    def _wait(self, seconds: float) -> None:
        if self._timer is None:
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


def _size(query: RequestQuery) -> int:
    filters = [query.filter, *[each.filter for each in query.controls]]
    lengths = [len(each.content) for each in filters if each is not None]
    lengths += [len(x.image) + len(x.text) + len(x.image_uri) for x in query.signals]
    lists = (query.exclude_product_ids, query.anchors, query.followed, query.candidates)
    more = (query.signals, query.facets, query.controls, *[x.product_ids for x in query.controls])
    return REQUEST_BYTES + ITEM_BYTES * sum(map(len, (*lists, *more))) + sum(lengths)
