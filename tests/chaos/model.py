"""Report of a scenario."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fuzz.model import Check, Verdict

ENGINES = {"lite": "Lite", "server": "Server"}
"""The engines of one machine, by the name that the suite takes, as the tables call them."""


class NotMeasured(Exception):
    """Error of a scenario that could not start or finish; the message says why."""


@dataclass(slots=True)
class Report:
    """The timeline, printed as it happens, and the results of the promises."""

    print: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    checks: list[Check] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Print a line of the timeline: seconds since the start of the run, and the event."""
        self.print(f"{time.monotonic() - self.began:6.1f} s  {line}")

    def add(self, name: str, held: bool, measured: str) -> None:
        """Record a promise that was tested."""
        self.checks.append(Check(name, Verdict.HELD if held else Verdict.VIOLATED, measured))

    def miss(self, name: str, why: str) -> None:
        """Record a promise that could not be tested."""
        self.checks.append(Check(name, Verdict.NOT_MEASURED, why))

    @property
    def clean(self) -> bool:
        """True if every promise was tested and held."""
        return bool(self.checks) and all(c.verdict is Verdict.HELD for c in self.checks)
