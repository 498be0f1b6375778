"""Meter of how many shoppers' histories each caller reads.

Two recommenders, recently viewed and reorder, answer what a shopper did. A token for any shopper
can therefore read all histories, one request each. The meter shows such a sweep.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter as Total

from gateway.state.caller_names import OTHERS, CallerNames

SECONDS: Final = 3_600.0
"""Seconds for which a shopper counts once for a caller."""
MOST_KEPT: Final = 100_000
"""Maximum number of shoppers in memory (about 100 bytes each). Further ones count at each read."""

READ = Total(
    "sightline_gateway_history_shoppers_total",
    "Shoppers whose history a caller read through the recommenders recently_viewed and reorder,"
    " each once an hour, by caller. Callers with a JWT count as one.",
    ("caller",),
)


class HistoryReads:
    """Shoppers whose history was read in this hour, by caller."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._since = clock, clock()
        self._seen: set[bytes] = set()
        self._names = CallerNames()
        READ.labels(OTHERS)  # rates miss the first value

    def note(self, caller: str, catalog_id: str, shopper_id: str) -> None:
        """Count a read of a shopper's history."""
        if self._clock() - self._since >= SECONDS:
            self._seen.clear()
            self._since = self._clock()
        # A hash of all three, as ids of shoppers are not kept in memory.
        whole = "\0".join((caller, catalog_id, shopper_id)).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(whole, digest_size=16).digest()
        if digest in self._seen:
            return
        if len(self._seen) < MOST_KEPT:
            self._seen.add(digest)
        READ.labels(self._names.of(caller)).inc()
