"""Colours of photos where values over them are high."""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline_rules.grids import Floats

Pixels = npt.NDArray[np.uint8]
COMPRESSION: Final = 1
"""PNG compression level, 0 to 9. The default 6 takes four times as long and saves a tenth."""
FADE: Final = 0.55
"""Share of grey mixed into a photo where positions contribute nothing."""
FOR: Final = np.array([255, 72, 0], np.float32)
AGAINST: Final = np.array([0, 96, 255], np.float32)
"""Colours of positive (FOR) and negative (AGAINST) contributions."""


def coloured(pixels: Pixels, share: Floats) -> Pixels:
    """Return a photo coloured by a grid of values from −1 to 1."""
    heat = Image.fromarray(share).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    strength = np.asarray(heat, np.float32)[..., None]
    weight = 0.75 * np.minimum(np.abs(strength), 1)
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)[..., None]
    faded = pixels * np.float32(1 - FADE) + grey * np.float32(FADE)
    return (faded + (np.where(strength > 0, FOR, AGAINST) - faded) * weight).astype(np.uint8)
