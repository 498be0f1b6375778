"""Search for the salient subject of a photo, without a model: the region that differs from the
photo's border.

Needs the extra `opencv`.

Two maps are added up, both of a thumbnail in CIELAB (J. Zhang, S. Sclaroff, Z. Lin, X. Shen,
B. Price, R. Měch, Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015):

- the minimum barrier distance (§ 3.1): how much the colour has to change, at least, on a way from
  the border to a pixel. Shadows and backgrounds that fade cost little, edges of a thing much;
- the border's contrast (§ 3.3, MB+): how unlike the colours of the border's four sides a pixel is.
  The side that it is most unlike doesn't count, since the subject may touch it.

Connected regions above Otsu's threshold are candidates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedder.adapters import opencv
from embedder.adapters.opencv import Floats, Mask, Places
from embedder.domain.photos import MAX_ALTERNATIVES, WHOLE, Box, PhotoSubject

LONG_SIDE: Final = 80
"""Pixels of the thumbnail's longer side."""
SWEEPS: Final = 2
"""Passes over the thumbnail; further passes change almost nothing."""
BORDER: Final = 0.1
"""Share of the shorter side that counts as border."""
FAINTEST: Final = 12.0
"""CIELAB units. A photo without a greater difference from its border has no distinct subject."""
EVEN: Final = 8.0
"""CIELAB units within which a background counts as having one colour."""
MIXED: Final = 0.2
"""Maximum share of the border that may differ from the background, as the subject may touch the
border."""
DUST: Final = 4
"""Pixels of the thumbnail; regions up to this size are ignored."""
LEAST_AREA: Final = 0.01
"""Minimum share of the photo that a candidate's box covers; noise and dust are smaller."""
LEAST_SHARE: Final = 0.05
"""Minimum saliency of an alternative, as a share of the best candidate's."""
CLEARLY: Final = 0.25
"""Difference of saliency, of 0 to 1, by which a part of a candidate stands out from the rest."""
ALIKE: Final = 0.7
"""Intersection over union from which two boxes count as one."""
MARGIN: Final = 0.02
"""Margin around a candidate, as a share of its longer side."""


@dataclass(frozen=True, slots=True)
class _Region:
    """A connected region of salient pixels."""

    saliency: float
    """Sum over its pixels, weighted by closeness to the middle."""
    box: Box


def find(image: Image.Image) -> PhotoSubject:
    """Return the box of an RGB photo's subject, and up to three others; without a salient region,
    the whole photo. Equal photos give equal boxes. Call it in a decoding process only.
    """
    lab = opencv.lab(_thumbnail(image))
    boxes = _on_plain_ground(lab)
    salient = saliency(lab)
    regions = [] if salient is None else list(_candidates(salient))
    regions.sort(key=lambda region: -region.saliency)
    for region in regions:
        loud = region.saliency >= LEAST_SHARE * regions[0].saliency
        if loud and all(_overlap(region.box, box) < ALIKE for box in boxes):
            boxes.append(region.box)
    if not boxes:
        return PhotoSubject(WHOLE)
    return PhotoSubject(boxes[0], tuple(boxes[1 : 1 + MAX_ALTERNATIVES]))


def saliency(lab: Floats) -> Floats | None:
    """Return the saliency of each pixel, float32 [h, w] from 0 to 1, or None if no pixel is
    salient.

    `lab`: CIELAB [h, w, 3].
    """
    barrier = _barrier(lab)
    if np.percentile(barrier, 99) < FAINTEST:
        return None
    return _unit(_unit(barrier) + _unit(_border_contrast(lab)))


def _thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    scale = LONG_SIDE / max(image.size)
    width, height = (max(8, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX), np.uint8)


def _barrier(lab: Floats) -> Floats:
    """Return the minimum barrier distance of each pixel from the border, in CIELAB units [h, w].

    Raster scanning (§ 3.2), a whole row or column at a time. The barrier of a path is the largest
    range of a channel along it.
    """
    colour = np.concatenate((lab, -lab), axis=-1).transpose(0, 2, 1)  # [h, 6, w]
    extremes = colour.copy()  # of the best path: maximum, and negated minimum
    distance = np.full(lab.shape[:2], np.inf, np.float32)
    distance[[0, -1]] = 0
    distance[:, [0, -1]] = 0
    down = (distance, extremes, colour)
    across = (distance.T, extremes.transpose(2, 1, 0), colour.transpose(2, 1, 0))
    for _ in range(SWEEPS):
        for planes in (down, across):
            _sweep(*planes)
            _sweep(*(plane[::-1] for plane in planes))
    return distance


def _sweep(distance: Floats, extremes: Floats, colour: Floats) -> None:
    """Extend the paths of each row to the next one where that lowers the barrier; in place."""
    for row in range(1, len(distance)):
        reached = np.maximum(extremes[row - 1], colour[row])
        barrier = (reached[:3] + reached[3:]).max(axis=0)
        better = barrier < distance[row]
        np.copyto(distance[row], barrier, where=better)
        np.copyto(extremes[row], reached, where=better)


def _border_contrast(lab: Floats) -> Floats:
    """Return each pixel's distance from the colours of three sides of the border, [h, w] (§
    3.3)."""
    width = max(1, round(BORDER * min(lab.shape[:2])))
    sides = (lab[:width], lab[-width:], lab[:, :width], lab[:, -width:])
    unlike = np.stack([_unit(_mahalanobis(lab, side.reshape(-1, 3))) for side in sides])
    return np.asarray(unlike.sum(axis=0) - unlike.max(axis=0), np.float32)


def _mahalanobis(lab: Floats, colours: Floats) -> Floats:
    """Return each pixel's Mahalanobis distance from these colours, [h, w]."""
    spread = np.cov(colours, rowvar=False) + np.eye(3)
    apart = lab - colours.mean(axis=0)
    squares = np.einsum("hwc,cd,hwd->hw", apart, np.linalg.inv(spread), apart)
    return np.asarray(np.sqrt(np.maximum(squares, 0)), np.float32)


def _unit(values: Floats) -> Floats:
    """Scale the values to 0 to 1; equal values become 0."""
    least, most = float(values.min()), float(values.max())
    return (values - least) / (most - least) if most > least else np.zeros_like(values)


def _on_plain_ground(lab: Floats) -> list[Box]:
    """Return the box of everything but the background, if most of the border has one colour: a
    product in a studio photo may be as white as its background in places, and would be split into
    regions."""
    border = np.concatenate((lab[0], lab[-1], lab[:, 0], lab[:, -1]))
    ground = np.median(border, axis=0)
    if (np.linalg.norm(border - ground, axis=-1) > EVEN).mean() > MIXED:
        return []
    unlike = np.linalg.norm(lab - ground, axis=-1) > EVEN
    parts = [part for part in opencv.components(unlike) if len(part[0]) > DUST]
    if not parts:
        return []
    rows, columns = (np.concatenate(places) for places in zip(*parts, strict=True))
    return [_box(rows, columns, *unlike.shape)]


def _candidates(salient: Floats) -> Iterator[_Region]:
    """Yield salient regions, and within each the regions that are clearly more salient."""
    weighted = salient * _towards_the_middle(*salient.shape)
    outer = salient >= opencv.otsu(salient)
    yield from _regions(outer, weighted)
    inner = salient >= opencv.otsu(salient[outer])
    rest = outer & ~inner
    if rest.any() and salient[inner].mean() - salient[rest].mean() >= CLEARLY:
        yield from _regions(inner, weighted)


def _regions(mask: Mask, weighted: Floats) -> Iterator[_Region]:
    """Yield the connected parts of a mask that are larger than dust."""
    for rows, columns in opencv.components(mask):
        box = _box(rows, columns, *mask.shape)
        if _area(box) >= LEAST_AREA:
            yield _Region(float(weighted[rows, columns].sum()), box)


def _towards_the_middle(height: int, width: int) -> Floats:
    """Return weights [h, w], 1 in the middle and lower towards the corners: subjects are mostly in
    the middle."""
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)
    return np.asarray(np.exp(-(down**2 + across**2)), np.float32)


def _box(rows: Places, columns: Places, height: int, width: int) -> Box:
    """Return the box of these pixels with a margin."""
    air = MARGIN * max(height, width)
    return Box(
        left=max(0.0, (float(columns.min()) - air) / width),
        top=max(0.0, (float(rows.min()) - air) / height),
        right=min(1.0, (float(columns.max()) + 1 + air) / width),
        bottom=min(1.0, (float(rows.max()) + 1 + air) / height),
    )


def _overlap(one: Box, other: Box) -> float:
    """Return intersection over union, 0 to 1."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)
