"""Rejected audited calls: one entry a minute for each caller, method and catalog.

The first rejected call of a minute has an entry at once. Those after it share one at its end, which
describes the last of them and says how many it left out.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final

from sightline.common.v1.audit_service_pb2 import AuditEntry

MINUTE: Final = 60.0
"""Seconds between two entries of a caller, method and catalog."""
MOST: Final = 10_000
"""Combinations of caller, method and catalog that are followed at a time; half of them of one
caller."""


@dataclass(slots=True)
class _Minute:
    """The rejected calls of a combination since its last entry."""

    since: float
    count: int = 0
    last: AuditEntry | None = None


class Refusals:
    """Rejected calls of the last minute."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._minutes: OrderedDict[tuple[str, str, str], _Minute] = OrderedDict()
        """Oldest first."""
        self._of: Counter[str] = Counter()
        """Number of combinations by caller."""

    def first(self, entry: AuditEntry, now: float) -> bool | None:
        """Count a rejected call. Return whether it has an entry of its own; None if too many
        combinations are followed, so that it has none at all.

        `now`: seconds of any clock that only moves forward.
        """
        key = (entry.caller, entry.method, entry.catalog_id)
        minute = self._minutes.get(key)
        if minute is not None:
            minute.count, minute.last = minute.count + 1, entry
            return False
        if len(self._minutes) >= self._most or self._of[entry.caller] * 2 >= self._most:
            return None
        self._minutes[key] = _Minute(now)
        self._of[entry.caller] += 1
        return True

    def due(self, now: float) -> list[AuditEntry]:
        """Return the entries of minutes that have ended."""
        entries = []
        while self._minutes:
            key, minute = next(iter(self._minutes.items()))
            if now < minute.since + MINUTE:
                break
            del self._minutes[key]
            if minute.last is None:
                self._forget(key[0])
            else:
                minute.last.left_out = minute.count - 1
                entries.append(minute.last)
                self._minutes[key] = _Minute(now)
        return entries

    def rest(self) -> list[AuditEntry]:
        """Return the entries of all minutes, which thereby end."""
        entries = self.due(float("inf"))
        self._minutes.clear()
        self._of.clear()
        return entries

    def next(self) -> float | None:
        """Return when the next minute ends; None if no call is followed."""
        return next((minute.since + MINUTE for minute in self._minutes.values()), None)

    def _forget(self, caller: str) -> None:
        self._of[caller] -= 1
        if not self._of[caller]:
            del self._of[caller]
