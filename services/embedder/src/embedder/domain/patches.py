"""Features of patches of photos, by a backbone's maps (PatchCore, K. Roth et al., CVPR 2022)."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from embedder.domain.fitted import Floats
from sightline_rules.grids import smooth

BLOCKS: Final = ("stage_4", "stage_5")
"""Feature maps that patches are described by, the finest first; strides of 8 and 16 pixels."""


def patches(maps: Mapping[str, Floats]) -> Floats:
    """Return the features of each patch [n, h, w, c], means over 3 by 3 positions, in the grid of
    the finest map. `maps`: float32 [n, channels, height, width] by block, with all of BLOCKS."""
    found = [smooth(maps[block].transpose(0, 2, 3, 1), (1, 1, 1)) for block in BLOCKS]
    size = found[0].shape[1:3]
    return np.concatenate([found[0], *(_enlarged(each, size) for each in found[1:])], axis=-1)


def _enlarged(maps: Floats, size: Sequence[int]) -> Floats:
    """Return maps [n, h, w, c] in a finer grid, by linear interpolation."""
    for axis, wanted in zip((1, 2), size, strict=True):
        have = maps.shape[axis]
        at = np.clip((np.arange(wanted) + 0.5) * have / wanted - 0.5, 0, have - 1)
        low = np.minimum(at.astype(int), max(have - 2, 0))
        share = (
            (at - low).astype(np.float32).reshape([-1 if each == axis else 1 for each in range(4)])
        )
        high = np.minimum(low + 1, have - 1)
        maps = np.take(maps, low, axis) * (1 - share) + np.take(maps, high, axis) * share
    return maps
