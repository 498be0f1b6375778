"""A clock that a test moves."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Clock in microseconds that a test moves."""

    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now
