"""Features of the patches of photos."""

import numpy as np
import pytest

from embedder.domain.patches import patches


def test_patches_are_in_the_grid_of_the_finest_map() -> None:
    fine = np.zeros((2, 3, 8, 8), np.float32)
    fine[:, 1, 4, 4] = 9
    coarse = np.arange(2 * 2 * 4 * 4, dtype=np.float32).reshape(2, 2, 4, 4)
    found = patches({"stage_4": fine, "stage_5": coarse})
    assert found.shape == (2, 8, 8, 5)
    assert found[0, 3:6, 3:6, 1] == pytest.approx(1)
    assert found[0, 2, 2, 1] == 0
    assert found[..., 3].min() >= coarse[:, 0].min()
