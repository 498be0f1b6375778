"""Schedule of requests: a Poisson process whose rate follows a curve."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Requests a second over time, interpolated linearly between points."""

    points: Sequence[tuple[float, float]]
    """Points of seconds since the start (ascending from 0) and the rate."""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.points[-1][0]

    @property
    def most(self) -> float:
        """Its highest rate."""
        return max(rate for _, rate in self.points)

    def rates(self, times: Times) -> Times:
        """Return the rate at each time."""
        at, rates = zip(*self.points, strict=True)
        found: Times = np.interp(times, at, rates)
        return found

    def times(self, seed: int) -> Times:
        """Draw the time of each request. Equal seeds give equal times."""
        random = np.random.default_rng(seed)
        count = random.poisson(self.most * self.seconds)
        # Thinning: a process of the highest rate, each request kept with the probability rate ÷
        # highest.
        times = np.sort(random.uniform(0, self.seconds, count))
        stays = random.uniform(0, self.most, count) < self.rates(times)
        kept: Times = times[stays]
        return kept

    def shared(self, among: int) -> "Curve":
        """Return the curve of one of several processes, which together follow this one."""
        return Curve([(at, rate / among) for at, rate in self.points])


def curve(text: str, seconds: float | None) -> Curve:
    """Parse "50" (for `seconds`), or points "0:50,60:400,300:400".

    Raise ValueError that says what is invalid.
    """
    if ":" not in text:
        if seconds is None:
            raise ValueError("a constant rate needs --seconds")
        points = [(0.0, float(text)), (seconds, float(text))]
    else:
        if seconds is not None:
            raise ValueError("a curve includes its duration: omit --seconds")
        pairs = (point.partition(":") for point in text.split(","))
        points = [(float(at), float(rate)) for at, _, rate in pairs]
    rising = all(one < other for (one, _), (other, _) in pairwise(points))
    usable = all(math.isfinite(value) and value >= 0 for point in points for value in point)
    if len(points) < 2 or points[0][0] != 0 or not rising or not usable:
        raise ValueError("points are SECONDS:RATE: ascending seconds from 0, and no negative rate")
    if not any(rate for _, rate in points):
        raise ValueError("the rate must be above 0 at some time")
    return Curve(points)
