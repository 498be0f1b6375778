"""Meter of how many shoppers' histories each caller reads.

Recommenders of a shopper's own events answer what the shopper did, and answers that follow a
shopper's last products or anchors name these as reasons. A token for any shopper can therefore read
all histories, one request each. The meter shows such a sweep.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter as Total

from gateway.state.caller_names import OTHERS, CallerNames
from servicekit.tasks.expiring import ExpiringValues
from sightline_core.branch import OF_SHOPPERS

SECONDS: Final = 3_600.0
"""Seconds for which a shopper counts once for a caller."""
MOST_KEPT: Final = 50_000
"""Maximum number of shoppers in memory (about 300 bytes each). The oldest make room, and count
again at their next read."""

_OWN = ", ".join(sorted(OF_SHOPPERS))

READ = Total(
    "sightline_gateway_history_shoppers_total",
    f"Shoppers whose history a caller read: through the recommenders {_OWN},"
    " or answers that follow their last products or anchors from their history; each once an hour,"
    " by caller. Callers with a JWT count as one.",
    ("caller",),
)


class HistoryReads:
    """Shoppers whose history was read in the last hour, by caller: hashes under a random key of
    this process, so that they lead to nobody."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._seen = ExpiringValues[bytes, bool](SECONDS, MOST_KEPT, clock)
        self._names = CallerNames()
        READ.labels(OTHERS)  # rates miss the first value

    def note(self, caller: str, catalog_id: str, shopper_id: str) -> None:
        """Count a read of a shopper's history."""
        whole = "\0".join((caller, catalog_id, shopper_id)).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(whole, digest_size=16, key=self._key).digest()
        if self._seen.get(digest):
            return
        self._seen.put(digest, True)
        READ.labels(self._names.of(caller)).inc()

    def forget(self) -> None:
        """Drop all hashes: a shopper is being erased, and callers' names are part of each."""
        self._key = secrets.token_bytes(32)
        self._seen.drop(lambda _: True)
