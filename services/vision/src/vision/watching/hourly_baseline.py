"""Usual frames of an hour of the day: the mean of vectors, and how far frames are from it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from vision.domain.objects import Floats
from vision.domain.watch_state import UsualHour
from vision.domain.watches import SECOND

PROJECTED: Final = 64
"""Dimension to which vectors are projected at random: distances keep their ratios within about an
eighth (Johnson–Lindenstrauss)."""
MEMORY: Final = 2_000
"""Frames that a mean remembers: later frames replace earlier ones."""
SLOWLY: Final = 0.05
"""Weight of an unusual frame in the means, so that a lasting change becomes usual in the end."""
LEAST_DEVIATION: Final = 0.002
"""Least standard deviation of distances that is assumed: a still scene has hardly any."""
CLIPPED: Final = 3.0
"""Standard deviations from which a distance counts as no farther when deviations are learned."""
ALL_HOURS: Final = 24
"""Key of the frames of all hours."""
HOUR: Final = 3_600 * SECOND


def hour_of(micros: int, offset_minutes: int) -> int:
    """Return the hour of the day of a time (microseconds since 1970, UTC) at an offset from
    UTC."""
    return (micros + offset_minutes * 60 * SECOND) // HOUR % 24


def projected(vector: Floats) -> Floats:
    """Return a vector of unit length in PROJECTED dimensions."""
    found = _projection(len(vector)) @ vector.astype(np.float64)
    return np.asarray(found / max(float(np.linalg.norm(found)), 1e-9))


def deviations(
    usual: Mapping[int, UsualHour], hour: int, vector: Floats, min_frames: int
) -> float | None:
    """Return how far a projected vector is from what is usual, in standard deviations, 0 or more.
    None: too few frames are known."""
    for key in (hour, ALL_HOURS):
        known = usual.get(key)
        if known is not None and known.frames >= min_frames:
            spread = max(sqrt(known.variance), LEAST_DEVIATION)
            return max(0.0, (_distance(known, vector) - known.distance) / spread)
    return None


def learned(
    usual: Mapping[int, UsualHour], hour: int, vector: Floats, *, unusual: bool
) -> dict[int, UsualHour]:
    """Return what is usual after a frame, given by its projected vector."""
    weight = SLOWLY if unusual else 1.0
    return dict(usual) | {
        key: _with(usual.get(key, UsualHour()), vector, weight) for key in (hour, ALL_HOURS)
    }


def _with(known: UsualHour, vector: Floats, weight: float) -> UsualHour:
    if not known.frames:
        return UsualHour(1, tuple(vector.tolist()))
    rate = weight / min(known.frames + 1, MEMORY)
    distance = _distance(known, vector)
    mean = np.asarray(known.mean) + rate * (vector - np.asarray(known.mean))
    # A passer-by is far away, and must not make everything usual.
    spread = max(sqrt(known.variance), LEAST_DEVIATION)
    delta = min(distance - known.distance, CLIPPED * spread)
    return replace(
        known,
        frames=known.frames + 1,
        mean=tuple(mean.tolist()),
        distance=known.distance + rate * delta,
        variance=(1 - rate) * (known.variance + rate * delta * delta),
    )


def _distance(known: UsualHour, vector: Floats) -> float:
    """Return 1 − cosine of a vector of unit length and a mean."""
    mean = np.asarray(known.mean)
    return 1.0 - float(mean @ vector) / max(float(np.linalg.norm(mean)), 1e-9)


@cache
def _projection(dimension: int) -> npt.NDArray[np.float64]:
    """Return the same matrix for the same dimension, in every process."""
    rows = np.random.default_rng(dimension).standard_normal((PROJECTED, dimension))
    return rows / sqrt(PROJECTED)
