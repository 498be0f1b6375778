"""What one caller may use of one catalog: calls, writes and seconds of decoding photos.

Each is a token bucket: it fills at the rate of the quota, and holds what `quota_burst_seconds` of
it bring. Buckets are a process's own: with several processes or replicas, a caller whose calls are
spread over them has as many.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from servicekit.config import ServiceSettings
from servicekit.errors import ResourceExhausted

MOST_ACCOUNTS = 10_000
"""Callers and catalogs that are kept in mind; who comes back after so many others starts full."""


class QuotaKind(StrEnum):
    """What is counted."""

    CALLS = "calls"
    WRITES = "writes"
    DECODE_SECONDS = "decode_seconds"


_NEEDED = {QuotaKind.CALLS: 1.0, QuotaKind.WRITES: 1.0, QuotaKind.DECODE_SECONDS: 0.01}
"""What has to be there before some is used; of decoding, the rest is owed."""
_ROUNDING = timedelta(milliseconds=1)


class QuotaSettings(ServiceSettings):
    """What one caller may use; a mixin of the settings of who knows the callers."""

    quota_calls: float = Field(default=0.0, ge=0)
    """Calls a second of one caller in one catalog, in each process; 0 = any number."""

    quota_writes: float = Field(default=0.0, ge=0)
    """Of these, calls a second that change something; 0 = any number."""

    quota_decode_seconds: float = Field(default=0.0, ge=0)
    """Seconds of decoding a second that photos in queries of one caller in one catalog may take, in
    each process; 0 = any number. What a photo took is known afterwards, and the next one waits."""

    quota_burst_seconds: float = Field(default=10.0, ge=1, le=3600)
    """How many seconds of a quota may be used at once after a pause."""


class QuotaExhausted(ResourceExhausted, reason="QUOTA_EXHAUSTED"):
    """The caller used up what it may; the RetryInfo says when there is more."""

    def __init__(self, quota: QuotaKind, seconds: float) -> None:
        super().__init__(
            f"the quota of {quota.replace('_', ' ')} of this caller in this catalog is used up",
            retry_after=timedelta(seconds=seconds) + _ROUNDING,
            metadata={"quota": quota},
        )


class TokenBucket:
    """Tokens that come at a rate."""

    __slots__ = ("_at", "_level", "_most", "_rate")

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate, self._most, self._level, self._at = rate, most, most, now

    def wait(self, needed: float, now: float) -> float:
        """Seconds until there are so many tokens; 0 = there are."""
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, needed - self._level) / self._rate

    def spend(self, amount: float) -> None:
        """Take tokens, also those that are not there yet: then nobody takes any until they are."""
        self._level -= amount


class CallerUsage:
    """What one caller has left in one catalog."""

    def __init__(
        self, rates: Mapping[QuotaKind, float], burst: float, clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._buckets = {
            quota: TokenBucket(rate, max(rate * burst, 1.0), clock())
            for quota, rate in rates.items()
            if rate
        }

    def check(self, quota: QuotaKind) -> None:
        """Raises QuotaExhausted when nothing is left."""
        bucket = self._buckets.get(quota)
        if bucket is not None and (seconds := bucket.wait(_NEEDED[quota], self._clock())):
            raise QuotaExhausted(quota, seconds)

    def spend(self, quota: QuotaKind, amount: float = 1.0) -> None:
        """Take down what was used."""
        if bucket := self._buckets.get(quota):
            bucket.spend(amount)


account: ContextVar[CallerUsage | None] = ContextVar("account", default=None)
"""Of the current call; None where nothing is counted."""


def check(quota: QuotaKind) -> None:
    """Raises QuotaExhausted when the caller of the current call has nothing left."""
    if found := account.get():
        found.check(quota)


def spend(quota: QuotaKind, amount: float) -> None:
    """Take down what the current call used."""
    if found := account.get():
        found.spend(quota, amount)


class Quotas:
    """The accounts of all callers and catalogs."""

    def __init__(
        self, settings: QuotaSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = {quota: getattr(settings, f"quota_{quota}") for quota in QuotaKind}
        self._burst = settings.quota_burst_seconds
        self._clock = clock
        self._accounts: OrderedDict[tuple[str, str], CallerUsage] = OrderedDict()
        self._counts = any(self._rates.values())

    def enter(self, caller: str, catalog: str, *, writes: bool) -> None:
        """Begin a call: it is counted, and so is what it does from now on. Raises QuotaExhausted,
        and then it is not."""
        if not self._counts:
            return
        found = self._account(caller, catalog)
        kinds = (QuotaKind.CALLS, QuotaKind.WRITES) if writes else (QuotaKind.CALLS,)
        for kind in kinds:
            found.check(kind)
        for kind in kinds:
            found.spend(kind)
        account.set(found)

    def _account(self, caller: str, catalog: str) -> CallerUsage:
        found = self._accounts.pop((caller, catalog), None)
        if found is None:
            found = CallerUsage(self._rates, self._burst, self._clock)
            if len(self._accounts) >= MOST_ACCOUNTS:
                self._accounts.popitem(last=False)
        self._accounts[caller, catalog] = found
        return found
