"""Contribution of each position of two photos to their cosine similarity, as an exact sum.

A backbone's vector consists of averages over the positions p of its last feature map (global
average pooling), so an inner product with it is a sum over the positions: with the other photo's
vector u and z = Σ_p F_p/P before it is brought to unit length, cos = Σ_p F_p·u / (P·‖z‖). It is the
class activation map of B. Zhou et al. (CVPR 2016, § 2) with u in the place of a class's weights. A
fitted space is linear behind its features: u is mapped back to features. Features that are not
linear in the positions are split by the amount that each position adds, which also sums exactly::

    average    mean_p F_p                   each position adds F_p / P
    root       √(mean_p F_p)                F_p / (P·root), as root = mean / root
    deviation  √(mean_p (F_p − mean)²)      (F_p − mean)² / (P·deviation)

Features without a position (a histogram of colours, a descriptor of texture) and the map's constant
are the `rest`. The sum of all is the similarity, to 1e-4 in float32.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embedder.domain.fitted import FittedSpace, Floats, unit

HEAD: Final = "head"
DEVIATION: Final = "_deviation"
SMALLEST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Positions:
    """A backbone's feature maps of a photo's views, before they are averaged."""

    features: Floats
    """[views, f]"""
    blocks: Mapping[str, int]
    """Sizes of the features' blocks by their names, in order."""
    maps: Mapping[str, Floats]
    """[views, channels, height, width] by block, of all stages and the head."""


@dataclass(frozen=True, slots=True)
class Heat:
    """Contributions of the positions of a photo's views to a similarity."""

    grid: Floats
    """[views, height, width]"""
    rest: float
    """Contribution of features without a position."""

    @property
    def total(self) -> float:
        """The similarity."""
        return float(self.grid.sum(dtype=np.float64)) + self.rest


@dataclass(frozen=True, slots=True)
class Projected:
    """A photo's views in a space."""

    positions: Positions
    lengths: Floats
    """[views]: lengths of the vectors before scaling to unit length"""
    mean: Floats
    """[d]: mean of the unit vectors"""

    @property
    def vector(self) -> Floats:
        """The photo's vector [d], as in searches."""
        return np.asarray(self.mean / max(float(np.linalg.norm(self.mean)), SMALLEST), np.float32)


def project(positions: Positions, space: FittedSpace | None, kind: int) -> Projected:
    """Project the views into a space. `space` None: the head's averages are the vector. `kind`: the
    camera, as in `Labelled.kinds`."""
    if space is None:
        vectors = positions.maps[HEAD].mean(axis=(2, 3), dtype=np.float64).astype(np.float32)
    else:
        standard = (positions.features - space.means[kind]) / space.scales[kind]
        vectors = standard @ space.projection
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), SMALLEST)
    return Projected(positions, lengths, unit(vectors).mean(axis=0))


def heat(mine: Projected, other: Floats, space: FittedSpace | None, kind: int) -> Heat:
    """Return the contribution of each position of a photo to its similarity to another photo's
    vector [d]."""
    views = len(mine.lengths)
    norm = max(float(np.linalg.norm(mine.mean)), SMALLEST)
    shares = 1 / (mine.lengths * views * norm)  # weight of a view's inner product with `other`
    if space is None:
        head = mine.positions.maps[HEAD]
        weights = np.broadcast_to(other, (views, len(other))) / _area(head)
        grid = _along(head, weights)
        return Heat(_scaled(grid, shares), 0.0)
    back = (space.projection @ other) / space.scales[kind]  # [f]: weight of a feature
    grid = sum(_placed(mine.positions, back), start=np.zeros(1, np.float32))
    placed = grid.sum(axis=(1, 2), dtype=np.float64)
    whole = (mine.positions.features - space.means[kind]).astype(np.float64) @ back
    return Heat(_scaled(grid, shares), float(((whole - placed) * shares).sum()))


def _placed(positions: Positions, back: Floats) -> Iterator[Floats]:
    """Yield the grid of each block with positions, in the size of the finest grid."""
    finest = max((each.shape[2:] for each in positions.maps.values()), default=(1, 1))
    start = 0
    for name, size in positions.blocks.items():
        block = slice(start, start + size)
        start += size
        source = positions.maps.get(name.removesuffix(DEVIATION))
        if source is None:
            continue
        values, weights = positions.features[:, block], back[block]
        if name == HEAD:
            grid = _along(source, _over(weights, values) / _area(source))
        elif name.endswith(DEVIATION):
            mean = source.mean(axis=(2, 3), keepdims=True)
            grid = _along((source - mean) ** 2, _over(weights, values) / _area(source))
        else:
            grid = _along(source, np.broadcast_to(weights, values.shape) / _area(source))
        yield spread(grid, finest)


def _over(weights: Floats, values: Floats) -> Floats:
    """Divide weights [f] by values [views, f]; 0 where the divisor is 0."""
    return np.divide(
        np.broadcast_to(weights, values.shape),
        values,
        out=np.zeros(values.shape, np.float32),
        where=values > 0,
    )


def _along(maps: Floats, weights: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return Σ_c weights[v, c] · maps[v, c, h, w], as [views, h, w]."""
    views, channels, height, width = maps.shape
    flat = weights.astype(np.float32)[:, None, :] @ maps.reshape(views, channels, height * width)
    return np.asarray(flat.reshape(views, height, width), np.float32)


def _area(maps: Floats) -> int:
    return int(maps.shape[2] * maps.shape[3])


def _scaled(grid: Floats, shares: npt.NDArray[np.floating[Any]]) -> Floats:
    return np.asarray(grid * shares[:, None, None], np.float32)


def spread(grid: Floats, size: Sequence[int]) -> Floats:
    """Resample a grid [views, h, w] to a finer one, each cell split by area: sums stay."""
    if grid.shape[1:] == tuple(size):
        return grid
    rows, columns = (_overlaps(have, want) for have, want in zip(grid.shape[1:], size, strict=True))
    return np.asarray(rows @ grid @ columns.T, np.float32)


def _overlaps(have: int, want: int) -> Floats:
    """Return the share of each of `have` cells that lies in each of `want` cells, [want, have]."""
    edges = np.arange(want + 1) * have / want
    cells = np.arange(have)
    low = np.maximum(edges[:-1, None], cells)
    high = np.minimum(edges[1:, None], cells + 1)
    return np.asarray(np.maximum(high - low, 0), np.float32)
