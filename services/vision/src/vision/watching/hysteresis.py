"""Measured values over time: smoothed, and compared with a threshold with hysteresis."""

from dataclasses import dataclass
from statistics import median

from vision.domain.watch_state import Track


@dataclass(frozen=True, slots=True)
class Level:
    """A threshold with hysteresis: a value is above it from `enter`, until it is below `leave`."""

    enter: float
    leave: float


def follow(track: Track, value: float, level: Level, *, smooth: bool) -> tuple[Track, float]:
    """Return the track after a value, and the value that was compared.

    `smooth`: compare the median of the newest three values, which one deviating frame in three does
    not change. A lasting change is seen one frame later.
    """
    values = (*track.recent, value)
    compared = median(values) if smooth and len(values) == 3 else value
    above = compared >= (level.leave if track.above else level.enter)
    return Track(values[-2:], above, known=True), compared
