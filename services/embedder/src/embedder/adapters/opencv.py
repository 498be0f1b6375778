"""OpenCV, the extra `opencv`: steps of preprocessing, and the search for lines of text.

Steps take and return uint8 RGB [side, side, 3]. Their parameters are described in
`embedder.domain.recipes`, and so part of a space's version: change both together.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from embedder.domain.labels import (
    GROWTH,
    LEAST_CHANCE,
    LEAST_MEAN,
    LINE_HEIGHT,
    Corners,
    is_upright,
    sides_of,
    width_of,
)
from embedder.domain.photos import Pixels
from embedder.domain.recipes import PreprocessStep

Floats = npt.NDArray[np.float32]

cv2.setNumThreads(
    1
)  # One thread: a process decodes one photo at a time, and other processes use the other cores.


def median(pixels: Pixels) -> Pixels:
    """Replace each pixel by the median of its 3 × 3 neighbourhood, per channel."""
    return np.asarray(cv2.medianBlur(pixels, 3), np.uint8)


def bilateral(pixels: Pixels) -> Pixels:
    """Smooth, and preserve edges (C. Tomasi, R. Manduchi, Bilateral Filtering for Gray and Color
    Images, ICCV 1998)."""
    return np.asarray(cv2.bilateralFilter(pixels, 5, 25, 2), np.uint8)


def nl_means(pixels: Pixels) -> Pixels:
    """Average similar patches (A. Buades, B. Coll, J.-M. Morel, A Non-Local Algorithm for Image
    Denoising, CVPR 2005)."""
    return np.asarray(cv2.fastNlMeansDenoisingColored(pixels, None, 3, 3, 7, 15), np.uint8)


def clahe(pixels: Pixels) -> Pixels:
    """Equalise lightness tile by tile, with limited contrast (K. Zuiderveld, Contrast Limited
    Adaptive Histogram Equalization, Graphics Gems IV, 1994)."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


DONE: Final[Mapping[PreprocessStep, Callable[[Pixels], Pixels]]] = {
    PreprocessStep.DENOISE_MEDIAN: median,
    PreprocessStep.DENOISE_BILATERAL: bilateral,
    PreprocessStep.DENOISE_NL_MEANS: nl_means,
    PreprocessStep.CONTRAST_CLAHE: clahe,
}


MOST_CONTOURS: Final = 1_000
LEAST_SIDE: Final = 3
"""Pixels of a shrunken line's shorter side."""


def text_lines(chances: Floats) -> list[Corners]:
    """Return the rectangles around lines of text, by the probability of each pixel, [height,
    width]: shrunken texts as connected regions, grown to their size (Liao et al., 2020)."""
    mask = cv2.dilate((chances > LEAST_CHANCE).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours[:MOST_CONTOURS]:
        middle, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < LEAST_SIDE:
            continue
        if _mean_within(chances, _corners(middle, (width, height), angle)) < LEAST_MEAN:
            continue
        grown = GROWTH * width * height / (width + height)
        found.append(_ordered(_corners(middle, (width + grown, height + grown), angle)))
    return found


def _corners(middle: Sequence[float], sides: Sequence[float], angle: float) -> Corners:
    return np.asarray(cv2.boxPoints((middle, sides, angle)), np.float32)


def _mean_within(chances: Floats, corners: Corners) -> float:
    """Return the mean probability within a rectangle."""
    most = np.array(chances.shape[::-1]) - 1
    low = np.floor(corners.min(axis=0)).astype(int).clip(0, most)
    high = np.ceil(corners.max(axis=0)).astype(int).clip(0, most)
    mask = np.zeros((high - low + 1)[::-1], np.uint8)
    cv2.fillPoly(mask, [(corners - low).astype(np.int32)], (1,))
    return float(cv2.mean(chances[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


def _ordered(corners: Corners) -> Corners:
    """Return a rectangle's corners from the top left clockwise."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    top_left, bottom_left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    top_right, bottom_right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.stack([top_left, top_right, bottom_right, bottom_left]).astype(np.float32)


def straightened(pixels: Pixels, corners: Corners) -> Pixels:
    """Return a line of a photo, uint8 RGB [LINE_HEIGHT, its width, 3]; a line that runs up or down
    is turned anticlockwise, as a book's back that is read from the top is."""
    along, across = (max(round(side), 1) for side in sides_of(corners))
    target = np.array([[0, 0], [along, 0], [along, across], [0, across]], np.float32)
    cut = cv2.warpPerspective(
        pixels,
        cv2.getPerspectiveTransform(corners, target),
        (along, across),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if is_upright(along, across):
        cut = np.ascontiguousarray(np.rot90(cut))
    return np.asarray(cv2.resize(cut, (width_of(corners), LINE_HEIGHT)), np.uint8)
