"""A clock that tests move."""


class Clock:
    """Microseconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def skip(self, seconds: float) -> None:
        self.now += int(seconds * 1e6)


class Seconds:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
