"""A clock that tests move."""


class Clock:
    """Clock in microseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def skip(self, seconds: float) -> None:
        self.now += int(seconds * 1e6)


class Seconds:
    """Clock in seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
