"""Quotas of a caller in a catalog, as token buckets: calls, writes, seconds of processors and of
decoding photos, visitors created by a page.

A bucket fills at the quota's rate and holds `quota_burst_seconds` of it. Each process has its own
buckets: a caller whose calls reach several processes or replicas has that many quotas. Not the
package `limits` (5.8, tried): it counts whole hits in windows and has no token bucket. It charges
neither fractions nor costs above the remainder, advises a wait of 5 s where the next call is
allowed after 0.5 s, and keeps up to 145 bytes a hit; a hit took 3 to 6 µs, here 0.6 µs.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from servicekit.config import ServiceSettings
from servicekit.errors import Refusal, ResourceExhausted

MOST_ACCOUNTS = 10_000
"""Maximum number of accounts in memory; an evicted one starts with full buckets again."""


class QuotaKind(StrEnum):
    """A kind of quota."""

    CALLS = "calls"
    WRITES = "writes"
    DECODE_SECONDS = "decode_seconds"
    PROCESSOR_SECONDS = "processor_seconds"
    VISITORS = "visitors"


_NEEDED = {
    QuotaKind.CALLS: 1.0,
    QuotaKind.WRITES: 1.0,
    QuotaKind.DECODE_SECONDS: 0.01,
    QuotaKind.PROCESSOR_SECONDS: 0.01,
    QuotaKind.VISITORS: 1.0,
}
"""Tokens required before use; of decoding, the rest is charged afterwards."""
PRODUCTION = {
    QuotaKind.CALLS: 100.0,
    QuotaKind.WRITES: 20.0,
    QuotaKind.DECODE_SECONDS: 1.0,
    QuotaKind.PROCESSOR_SECONDS: 2.0,
    QuotaKind.VISITORS: 100.0,
}
"""Quotas a second in production mode where none are set: half of a machine of four processors, and
half of that for decoding (docs/operate/sizing.md)."""
STREAM_CALLS = 5.0
"""Calls for which a stream counts: each service opens a stream of its own, and reads its first
state; together three times the processor time of the cheapest call."""
_ROUNDING = timedelta(milliseconds=1)


class QuotaSettings(ServiceSettings):
    """Quotas of one caller; a mixin of the settings of the service that knows the callers."""

    quota_calls: float | None = Field(default=None, ge=0)
    """Calls per second of one caller in one catalog, in each process. 0: no limit. `None`: 100 in
    production, otherwise no limit."""

    quota_writes: float | None = Field(default=None, ge=0)
    """Calls per second that change something, included in these. 0: no limit. `None`: 20 in
    production, otherwise no limit."""

    quota_decode_seconds: float | None = Field(default=None, ge=0)
    """Processor seconds of decoding per second for photos in queries of one caller in one catalog,
    in each process. 0: no limit. `None`: 1 in production, which is half of one embedder's two
    decoding processes, and no limit elsewhere (docs/operate/sizing.md: one caller's share). The
    time is charged after decoding, and the next photo waits."""

    quota_processor_seconds: float | None = Field(default=None, ge=0)
    """Processor seconds per second, of all services, for all calls of one caller in one catalog, in
    each process. 0: no limit. The price of a request is charged
    before it runs, and corrected by what it did cost. `None`: 2 in production, which is half of
    four processors (docs/operate/sizing.md: one caller's share), otherwise no limit."""

    quota_visitors: float | None = Field(default=None, ge=0)
    """Visitors that the key of a page creates per second in one catalog, in each process: events of
    each count for others. 0: no limit. `None`: 100 in production, 6,000 a minute, otherwise no
    limit. Keys with further roles have no such limit."""

    quota_burst_seconds: float = Field(default=10.0, ge=1, le=3600)
    """Seconds of a quota that may be used at once after a pause."""

    def quota(self, kind: QuotaKind) -> float:
        """Return the rate of a quota a second; 0: no limit."""
        given: float | None = getattr(self, f"quota_{kind}")
        if given is not None:
            return given
        return PRODUCTION[kind] if self.mode == "production" else 0.0

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        for kind in QuotaKind:
            if not self.quota(kind):
                field = self.variable(f"quota_{kind}")
                can = "use all of the processors"
                if kind is QuotaKind.VISITORS:
                    can = "create any number of visitors"
                yield f"one caller can {can}: set {field} above 0"


class QuotaExhausted(Refusal, ResourceExhausted, reason="QUOTA_EXHAUSTED"):
    """The quota is used up; RetryInfo says when it allows the next call."""

    def __init__(self, quota: QuotaKind, seconds: float) -> None:
        super().__init__(
            f"the quota of {quota.replace('_', ' ')} of this caller in this catalog is used up",
            retry_after=timedelta(seconds=seconds) + _ROUNDING,
            metadata={"quota": quota},
        )


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A quota of one caller in one catalog, in tokens."""

    kind: QuotaKind
    rate: float
    """Tokens a second."""
    most: float
    """Tokens that may be used at once after a pause."""
    available: float
    """Tokens that may be used now; negative: more were used."""


class TokenBucket:
    """A token bucket."""

    __slots__ = ("_at", "_level", "_most", "_rate")

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate, self._most, self._level, self._at = rate, most, most, now

    def wait(self, needed: float, now: float) -> float:
        """Return the seconds until `needed` tokens are available; 0: now."""
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, needed - self._level) / self._rate

    @property
    def most(self) -> float:
        """Return how many tokens it holds, at most."""
        return self._most

    def state(self, kind: QuotaKind, now: float) -> QuotaState:
        """Return its state as that of a quota."""
        self.wait(0.0, now)
        return QuotaState(kind, self._rate, self._most, self._level)

    def spend(self, amount: float) -> None:
        """Take tokens; the level may become negative. A negative amount gives some back."""
        self._level -= amount


class CallerUsage:
    """Token buckets of one caller in one catalog."""

    def __init__(
        self,
        rates: Mapping[QuotaKind, float],
        burst: float,
        clock: Callable[[], float],
        share: float = 1.0,
    ) -> None:
        """`share`: factor of the rates."""
        self._clock, self.share = clock, share
        self._buckets = {
            quota: TokenBucket(rate * share, max(rate * share * burst, 1.0), clock())
            for quota, rate in rates.items()
            if rate
        }

    def check(self, quota: QuotaKind) -> None:
        """Raise QuotaExhausted when the quota is used up."""
        bucket = self._buckets.get(quota)
        if bucket is not None and (seconds := bucket.wait(_NEEDED[quota], self._clock())):
            raise QuotaExhausted(quota, seconds)

    def reserve(self, quota: QuotaKind, amount: float) -> float:
        """Charge `amount` before its use, at most all that the quota holds after a pause.

        Return what was charged. Raises QuotaExhausted without a charge.
        """
        bucket = self._buckets.get(quota)
        if bucket is None:
            return 0.0
        amount = min(amount, bucket.most)
        if seconds := bucket.wait(amount, self._clock()):
            raise QuotaExhausted(quota, seconds)
        bucket.spend(amount)
        return amount

    def spend(self, quota: QuotaKind, amount: float = 1.0) -> None:
        """Charge `amount` to a quota; a negative amount is a correction of an earlier charge."""
        if bucket := self._buckets.get(quota):
            bucket.spend(amount)

    def states(self) -> list[QuotaState]:
        """Return the state of each quota."""
        now = self._clock()
        return [bucket.state(kind, now) for kind, bucket in self._buckets.items()]


account: ContextVar[CallerUsage | None] = ContextVar("account", default=None)
"""Usage of the current call's caller; `None` without quotas."""


def check(quota: QuotaKind) -> None:
    """Raise QuotaExhausted when the current caller's quota is used up."""
    if found := account.get():
        found.check(quota)


def reserve(quota: QuotaKind, amount: float) -> float:
    """Charge `amount` to the current caller's quota before its use (`CallerUsage.reserve`)."""
    found = account.get()
    return 0.0 if found is None else found.reserve(quota, amount)


def spend(quota: QuotaKind, amount: float) -> None:
    """Charge `amount` to the current caller's quota."""
    if found := account.get():
        found.spend(quota, amount)


def states() -> list[QuotaState]:
    """Return the current caller's quotas; empty: there are none."""
    found = account.get()
    return [] if found is None else found.states()


class Quotas:
    """Usage of all callers and catalogs."""

    def __init__(
        self,
        settings: QuotaSettings,
        share: Callable[[str], float] = lambda _: 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`share`: returns the factor of the quotas in a catalog."""
        self._share = share
        self._rates = {quota: settings.quota(quota) for quota in QuotaKind}
        self._burst = settings.quota_burst_seconds
        self._clock = clock
        self._accounts: OrderedDict[tuple[str, str], CallerUsage] = OrderedDict()
        self._counts = any(self._rates.values())

    def enter(self, caller: str, catalog: str, *, writes: bool, stream: bool = False) -> None:
        """Charge a call, and bind its caller's usage to the context.

        Raises QuotaExhausted without a charge. A stream needs a single call's tokens, and takes
        STREAM_CALLS: the level may become negative.
        """
        if not self._counts:
            return
        found = self._account(caller, catalog)
        kinds = (QuotaKind.CALLS, QuotaKind.WRITES) if writes else (QuotaKind.CALLS,)
        for kind in kinds:
            found.check(kind)
        for kind in kinds:
            found.spend(kind)
        if stream:
            found.spend(QuotaKind.CALLS, STREAM_CALLS - 1)
        account.set(found)

    def _account(self, caller: str, catalog: str) -> CallerUsage:
        found, share = self._accounts.pop((caller, catalog), None), self._share(catalog)
        if found is None or found.share != share:
            found = CallerUsage(self._rates, self._burst, self._clock, share)
            if len(self._accounts) >= MOST_ACCOUNTS:
                self._accounts.popitem(last=False)
        self._accounts[caller, catalog] = found
        return found
