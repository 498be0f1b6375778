"""The last requests that this process answered, by scene: what a changed scene is tried on.

Records of answers have no requests, as these may hold photos, texts and ids of shoppers. They are
kept in memory alone, for an hour; the process that is asked to erase a shopper drops theirs.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.model.query import RequestQuery, Shopper

SECONDS = 3_600.0
"""Seconds for which a request is kept."""
MOST_EACH = 200
"""Maximum number of requests of a scene."""
MOST_BYTES = 2**25
"""Maximum bytes of all photos; a request whose photos do not fit is not kept."""


@dataclass(frozen=True, slots=True)
class _Kept:
    query: RequestQuery
    time_micros: int
    until: float
    size: int
    """Bytes of its photos."""


class RecentRequests:
    """Requests by catalog and scene, newest last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], deque[_Kept]] = {}
        self._bytes = 0

    def note(self, scene: str, query: RequestQuery, time_micros: int) -> None:
        """Keep a request that a scene answered."""
        size = sum([len(signal.image) for signal in query.signals])
        if size and self._bytes + size > MOST_BYTES:
            self._expire()
            if self._bytes + size > MOST_BYTES:
                return
        kept = self._kept.setdefault((query.catalog_id, scene), deque())
        if len(kept) == MOST_EACH:
            self._bytes -= kept.popleft().size
        kept.append(_Kept(query, time_micros, self._clock() + SECONDS, size))
        self._bytes += size

    def of(self, catalog_id: str, scene: str, since_micros: int, most: int) -> list[RequestQuery]:
        """Return the last requests of a scene from a time on, newest first."""
        self._expire()
        kept = self._kept.get((catalog_id, scene), ())
        found = [each.query for each in kept if each.time_micros >= since_micros]
        return found[::-1][:most]

    def forget(self, catalog_id: str) -> None:
        """Drop all requests of a catalog."""
        for key in [key for key in self._kept if key[0] == catalog_id]:
            self._bytes -= sum([each.size for each in self._kept.pop(key)])

    def forget_shopper(self, catalog_id: str, shopper: Shopper) -> None:
        """Drop all requests of a shopper, who is being erased."""
        for key in [key for key in self._kept if key[0] == catalog_id]:
            theirs = [each for each in self._kept[key] if each.query.shopper == shopper]
            self._bytes -= sum([each.size for each in theirs])
            self._kept[key] = deque(
                each for each in self._kept[key] if each.query.shopper != shopper
            )

    def _expire(self) -> None:
        now = self._clock()
        for key, kept in list(self._kept.items()):
            while kept and kept[0].until <= now:
                self._bytes -= kept.popleft().size
            if not kept:
                del self._kept[key]
