"""Grids of values over photos."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def smooth(maps: Floats, weights: Sequence[int]) -> Floats:
    """Return weighted means over the neighbours of each position of [n, h, w, c], down and across;
    the border is repeated."""
    reach = len(weights) // 2
    for axis in (1, 2):
        pad = [(reach, reach) if each == axis else (0, 0) for each in range(4)]
        padded, size = np.pad(maps, pad, mode="edge"), maps.shape[axis]
        shifted = (
            weight * np.take(padded, range(at, at + size), axis=axis)
            for at, weight in enumerate(weights)
        )
        maps = sum(shifted, start=np.zeros(1, np.float32)) / np.float32(sum(weights))
    return maps
