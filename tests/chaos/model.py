"""What a scenario reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fuzz.model import Check, Verdict

ENGINES = {"lite": "Lite", "server": "Server"}
"""The engines of one machine, by the name that the suite takes, as the tables call them."""


class NotMeasured(Exception):
    """Why a scenario could not run, or not to its end."""


@dataclass(slots=True)
class Report:
    """The timeline as it happens, and what came of each promise."""

    print: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    checks: list[Check] = field(default_factory=list)

    def say(self, line: str) -> None:
        """A line of the timeline: seconds since the run began, and what happened."""
        self.print(f"{time.monotonic() - self.began:6.1f} s  {line}")

    def add(self, name: str, held: bool, measured: str) -> None:
        """A promise that was put to the test."""
        self.checks.append(Check(name, Verdict.HELD if held else Verdict.VIOLATED, measured))

    def miss(self, name: str, why: str) -> None:
        """A promise that could not be put to the test."""
        self.checks.append(Check(name, Verdict.NOT_MEASURED, why))

    @property
    def clean(self) -> bool:
        """Whether every promise was put to the test and held."""
        return bool(self.checks) and all(c.verdict is Verdict.HELD for c in self.checks)
