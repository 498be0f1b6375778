"""A similarity as a sum over positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.fitted import FittedSpace, Floats, unit
from embedder.domain.heat import Positions, heat, project, spread

CHANNELS = {"stage_4": 3, "stage_8": 4, "head": 5}
SIDES = {"stage_4": 9, "stage_8": 4, "head": 2}
COLOURS = 6
BLOCKS = {
    "stage_4": 3,
    "stage_8": 4,
    "stage_4_deviation": 3,
    "stage_8_deviation": 4,
    "head": 5,
    "hsv_histogram": COLOURS,
}


def seen(seed: int, views: int = 2) -> Positions:
    """Return a backbone's feature maps and the features made of them."""
    random = np.random.default_rng(seed)
    maps = {
        name: (random.normal(size=(views, count, SIDES[name], SIDES[name]))).astype(np.float32)
        for name, count in CHANNELS.items()
    }
    maps["head"] = np.abs(maps["head"])  # behind a ReLU
    maps["head"][:, 0] = 0  # a channel that sees nothing
    blocks = [
        *(maps[name].mean(axis=(2, 3)) for name in ("stage_4", "stage_8")),
        *(maps[name].std(axis=(2, 3)) for name in ("stage_4", "stage_8")),
        np.sqrt(maps["head"].mean(axis=(2, 3))),
        random.random((views, COLOURS)),
    ]
    return Positions(np.concatenate(blocks, axis=1).astype(np.float32), BLOCKS, maps)


def fitted(seed: int) -> FittedSpace:
    random, width = np.random.default_rng(seed), sum(BLOCKS.values())
    means, scales = random.normal(size=(2, width)), 0.5 + random.random((2, width))
    projection = random.normal(size=(width, 4))
    return FittedSpace(*(each.astype(np.float32) for each in (means, scales, projection)))


def searched(positions: Positions, space: FittedSpace | None, kind: int) -> Floats:
    """Return the indexed vector: the mean of the views' unit vectors, at unit length."""
    if space is None:
        vectors = unit(positions.maps["head"].mean(axis=(2, 3)))
    else:
        vectors = space.embed(positions.features, np.full(len(positions.features), kind))
    return unit(vectors.mean(axis=0, keepdims=True))[0]


@given(st.integers(0, 99), st.booleans(), st.integers(1, 4))
def test_positions_and_the_rest_sum_to_the_cosine_of_both_vectors(
    seed: int, learned: bool, views: int
) -> None:
    space = fitted(seed) if learned else None
    one, other = seen(seed, views), seen(seed + 1000)
    mine, theirs = project(one, space, 0), project(other, space, 1)
    cosine = float(searched(one, space, 0) @ searched(other, space, 1))
    assert heat(mine, theirs.vector, space, 0).total == pytest.approx(cosine, abs=1e-4)
    assert heat(theirs, mine.vector, space, 1).total == pytest.approx(cosine, abs=1e-4)


def test_what_has_positions_is_placed_and_only_the_rest_is_not() -> None:
    assert heat(project(seen(1), None, 0), project(seen(2), None, 0).vector, None, 0).rest == 0
    space = fitted(3)
    colours = slice(sum(BLOCKS.values()) - COLOURS, None)
    space.projection[: colours.start] = 0  # only colours count
    mine, theirs = (project(seen(seed), space, 0) for seed in (1, 2))
    found = heat(mine, theirs.vector, space, 0)
    assert not found.grid.any()
    assert found.rest == pytest.approx(float(mine.vector @ theirs.vector), abs=1e-5)


def test_what_stands_in_a_corner_is_found_there() -> None:
    one = seen(4, 1)
    for name, values in one.maps.items():
        values[:] = 0
        values[..., : SIDES[name] // 2, : SIDES[name] // 2] = 1
    mine = project(one, None, 0)
    found = heat(mine, mine.vector, None, 0)
    half = found.grid.shape[1] // 2
    assert found.grid[:, :half, :half].sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(found.grid).sum() == pytest.approx(1, abs=1e-5)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 24))
def test_a_grid_on_a_finer_one_keeps_its_sum(height: int, width: int, more: int) -> None:
    grid = np.random.default_rng(more).normal(size=(2, height, width)).astype(np.float32)
    finer = spread(grid, (height + more, width + more))
    assert finer.shape == (2, height + more, width + more)
    assert finer.sum(axis=(1, 2)) == pytest.approx(grid.sum(axis=(1, 2)), abs=1e-4)
