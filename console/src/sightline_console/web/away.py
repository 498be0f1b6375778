"""Sign-ins under way at an identity provider, in the memory of this process."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from sys import getsizeof

from sightline_console.web.oidc import Attempt

MOST = 1_000
"""Maximum number of sign-ins under way; the oldest ends for a new one."""
MOST_OF_BROWSER = 8
"""Maximum number of one browser's."""
MOST_BYTES = 32 * 2**20
"""Maximum bytes of what their users had typed; the oldest sign-ins end for new ones."""
SECONDS = 1800.0
"""Seconds after which a sign-in ends that did not return."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in, and what its user had before it."""

    browser: str = field(repr=False)
    """Cookie of the only browser that may end it."""
    attempt: Attempt
    back: str
    unsent: Mapping[str, str] = field(repr=False)
    """Fields of a form that is sent afterwards."""
    began: float

    @property
    def size(self) -> int:
        """Approximate bytes of memory."""
        return getsizeof(self.back) + sum(
            getsizeof(name) + getsizeof(value) for name, value in self.unsent.items()
        )


class SignIns:
    """The sign-ins, by their state."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._clock = clock
        self._away: OrderedDict[str, SignIn] = OrderedDict()
        """Oldest first."""

    def keep(self, browser: str, attempt: Attempt, back: str, unsent: Mapping[str, str]) -> None:
        """Keep a sign-in until its browser returns."""
        self._expire()
        made = SignIn(browser, attempt, back, unsent, self._clock())
        mine = [state for state, each in self._away.items() if each.browser == browser]
        for state in mine[: max(0, len(mine) - MOST_OF_BROWSER + 1)]:
            del self._away[state]
        total = made.size + sum(each.size for each in self._away.values())
        while self._away and (len(self._away) >= MOST or total > MOST_BYTES):
            total -= self._away.popitem(last=False)[1].size
        self._away[attempt.state] = made

    def knows(self, browser: str) -> bool:
        """Return whether a browser has a sign-in under way."""
        self._expire()
        return any(each.browser == browser for each in self._away.values())

    def take(self, browser: str, state: str) -> SignIn | None:
        """Return a browser's sign-in, once; None: it has none with this state."""
        self._expire()
        found = self._away.get(state)
        if found is None or not hmac.compare_digest(found.browser.encode(), browser.encode()):
            return None
        return self._away.pop(state)

    def _expire(self) -> None:
        now = self._clock()
        while self._away and now - next(iter(self._away.values())).began > SECONDS:
            self._away.popitem(last=False)
