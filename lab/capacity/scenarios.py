"""Loads of the simulated cluster."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from lab.capacity.cluster import Load
from lab.capacity.inputs import KINDS, PHOTO, PRODUCT, SEARCH, USER

MIX = {PRODUCT: 0.4, USER: 0.3, PHOTO: 0.15, SEARCH: 0.15}
"""Assumed mix: a shop whose product pages send most requests."""
assert set(MIX) == set(KINDS)
PHOTOS = {PRODUCT: 0.15, USER: 0.1, PHOTO: 0.7, SEARCH: 0.05}
"""Assumed mix: a campaign in which shoppers send photos."""
USUAL, SALE = 120.0, 400.0
"""Requests a second."""
RUSH = 240.0
DAY_PACE = 36.0
DAY = 86_400 / DAY_PACE
NIGHT, EVENING = 20.0, 160.0


def _through(points: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """Return a function that interpolates linearly through points of time and rate."""

    def rate(now: float) -> float:
        for (start, low), (end, high) in pairwise(points):
            if now < end:
                return low + (high - low) * (now - start) / (end - start)
        return points[-1][1]

    return rate


def _steps(now: float) -> float:
    return (80.0, 160.0, 240.0, 320.0, 80.0)[min(int(now // 120), 4)]


def _day(now: float) -> float:
    """Return the rate at a time of a day, from night to evening and back."""
    return NIGHT + (EVENING - NIGHT) * (1 - math.cos(2 * math.pi * now / DAY)) / 2


LOADS: Mapping[str, Load] = {
    each.name: each
    for each in (
        Load("load steps", 600, _steps, MIX),
        Load("a day", DAY, _day, MIX, pace=DAY_PACE),
        Load(
            "flash sale",
            540,
            _through([(0, USUAL), (120, USUAL), (180, SALE), (360, SALE), (420, USUAL)]),
            MIX,
        ),
        Load(
            "a rush of photos",
            480,
            _through([(0, 70.0), (120, 70.0), (180, RUSH), (360, RUSH), (420, 70.0)]),
            PHOTOS,
        ),
        Load("a lost node", 540, lambda _: 200.0, MIX, lose_at=120),
    )
}


def peak(load: str) -> float:
    """Return the peak rate that a shop with such loads plans for."""
    return RUSH if LOADS[load].mix is PHOTOS else SALE


MEAN = (NIGHT + EVENING) / 2
"""Mean rate of a day."""
