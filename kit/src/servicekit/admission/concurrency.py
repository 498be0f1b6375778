"""Adaptive limit of concurrent calls: as many as end within half of their deadlines.

Additive increase, multiplicative decrease (Chiu and Jain 1989, doi:10.1016/0169-7552(89)90019-6),
as TCP does it, and as AIMDLimit and GradientLimit of Netflix's concurrency-limits
(https://github.com/Netflix/concurrency-limits) do it for services. No threshold is in milliseconds:
a call is late once it took half of its deadline. Admitted calls therefore end in time, and an
overloaded process rejects calls at once instead of working on abandoned ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from datetime import timedelta

from servicekit.errors import Refusal, ResourceExhausted

LEAST = 8
"""Concurrent calls that are always admitted: some calls are always slow, which looks like load."""
QUICK = 0.1
"""Seconds; shorter calls are never late: missing a very short deadline is no sign of load."""
UNHURRIED = 5.0
"""Seconds after which a call without a deadline is late."""
FASTEST = 4.0
"""Maximum increase of the limit by a round of calls: 1 to 4, the number of such calls that fit into
the time after which a call is late. A limit that was lowered too far recovers within a second or
two."""


class Overloaded(Refusal, ResourceExhausted, reason="SERVICE_OVERLOADED"):
    """More calls are in progress than can end in time; this one was not started."""

    message = "too many calls are under way: retry in a moment"
    retry_after = timedelta(seconds=1)


class ConcurrencyLimit:
    """Adaptive concurrency limit of one process."""

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        learned: Callable[[float], object] = float,
        working: Callable[[int], object] = int,
        worked: Callable[[float], object] = float,
        *,
        later: Callable[[Callable[[], None]], object] = lambda report: report(),
    ) -> None:
        """`most` is the initial limit, which is never exceeded. `learned` is called with each new
        limit, `working` with the number of calls under way when it changes, `worked` with the
        seconds of ended calls. `later` calls what it is given, so that many changes may be
        reported at once."""
        self.limit = float(most)
        """Current limit of concurrent calls."""
        self._learned = learned
        learned(self.limit)
        self._working, self._worked, self._later = working, worked, later
        working(0)
        self._seconds, self._is_reporting = 0.0, False
        """Seconds of ended calls that are not reported yet; and whether a report is under way."""
        self._most, self._least = float(most), float(min(LEAST, most))
        self._clock = clock
        self._held: dict[Hashable, int] = {}
        self._total = 0
        self._before, self._since, self._lowered = self.limit, 0.0, 0.0
        """The limit before it was last lowered; the start from which calls count for lowering it;
        and the time when it was lowered: calls that began later may lower it again."""

    def enter(self, party: Hashable) -> float:
        """Begin a call of a party. Return its start time. Raises Overloaded.

        At the limit, only parties below their even share are admitted: one that sends too many
        calls does not keep others out.
        """
        held = self._held.get(party, 0) + 1
        parties = len(self._held) + (held == 1)
        if self._total >= self.limit and held * parties > self.limit:
            raise Overloaded
        self._held[party] = held
        self._total += 1
        if not self._is_reporting:
            self._is_reporting = True
            self._later(self._report)
        return self._clock()

    def _report(self) -> None:
        self._is_reporting = False
        self._working(self._total)
        if self._seconds:
            seconds, self._seconds = self._seconds, 0.0
            self._worked(seconds)

    def leave(
        self,
        party: Hashable,
        began: float,
        given: float | None,
        *,
        ok: bool,
        counted: bool = True,
    ) -> None:
        """End a call. `began`: when `enter` began it, later by the time for which the service let
        it wait; `given`: its deadline in seconds, None: no deadline; `counted`: false if it mostly
        waited for a peer, so that `worked` is not called."""
        busy = self._total * 2 >= self.limit
        self._total -= 1
        if self._held[party] > 1:
            self._held[party] -= 1
        else:
            del self._held[party]
        seconds = max(self._clock() - began, 0.0)  # steps of a call may wait beside one another
        if counted:
            self._seconds += seconds
        if not self._is_reporting:
            self._is_reporting = True
            self._later(self._report)
        if busy:  # otherwise its duration says nothing about load
            goal = UNHURRIED if given is None else max(given / 2, QUICK)
            self._learn(began, seconds, goal, ok=ok)

    def _learn(self, began: float, seconds: float, goal: float, *, ok: bool) -> None:
        if seconds > goal:
            if began >= self._lowered:
                self._before, self._since = self.limit, self._lowered
                self._lowered = began + seconds
            if began >= self._since:  # lowered once for all concurrent calls, by the latest of them
                # Squared: calls that are far too late leave no time for many rounds.
                lowered = self._before * max(goal / seconds, 0.5) ** 2
                self._set(max(self._least, min(self.limit, lowered)))
        elif ok:
            spare = min(goal / max(seconds, 1e-6), FASTEST)
            self._set(min(self._most, self.limit + spare / self.limit))

    def _set(self, limit: float) -> None:
        if limit != self.limit:
            self.limit = limit
            self._learned(limit)
