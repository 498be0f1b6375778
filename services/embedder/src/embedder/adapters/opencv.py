"""OpenCV, the extra `opencv`: steps of preprocessing that are off by default.

All take and return uint8 RGB [side, side, 3]. Their numbers are in the words of
`embedder.domain.recipes`, of which a space's version is made: change both together.
"""

from collections.abc import Callable, Mapping
from typing import Final

import cv2
import numpy as np

from embedder.domain.photos import Pixels
from embedder.domain.recipes import PreprocessStep

cv2.setNumThreads(1)  # A process decodes one photo at a time; others have the other cores.


def median(pixels: Pixels) -> Pixels:
    """Give each pixel the median of its 3 × 3 neighbours, channel by channel."""
    return np.asarray(cv2.medianBlur(pixels, 3), np.uint8)


def bilateral(pixels: Pixels) -> Pixels:
    """Smooth within even areas (C. Tomasi, R. Manduchi, Bilateral Filtering for Gray and Color
    Images, ICCV 1998)."""
    return np.asarray(cv2.bilateralFilter(pixels, 5, 25, 2), np.uint8)


def nl_means(pixels: Pixels) -> Pixels:
    """Average patches that look alike (A. Buades, B. Coll, J.-M. Morel, A Non-Local Algorithm for
    Image Denoising, CVPR 2005)."""
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
