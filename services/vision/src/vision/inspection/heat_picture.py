"""Draws the anomalous parts of a photo, as a PNG."""

import io

import numpy as np
from PIL import Image

from sightline_rules.heat_colours import COMPRESSION, coloured
from vision.domain.inspection import Pixels
from vision.domain.objects import Floats


def png(pixels: Pixels, scores: Floats, ratio: float) -> bytes:
    """Return a photo whose parts are orange where their scores are high, without its padding.

    `pixels`: uint8 RGB [side, side, 3]; `scores`: [h, w] in units of the threshold: from a half of
    it they are coloured, from twice of it fully. `ratio`: width of the photo divided by its height.
    """
    share = np.clip((scores - 0.5) / 1.5, 0, 1).astype(np.float32)
    side = len(pixels)
    wide, high = round(side * min(ratio, 1.0)) or 1, round(side * min(1 / ratio, 1.0)) or 1
    left, top = (side - wide) // 2, (side - high) // 2
    image = Image.fromarray(coloured(pixels, share))
    file = io.BytesIO()
    image.crop((left, top, left + wide, top + high)).save(file, "PNG", compress_level=COMPRESSION)
    return file.getvalue()
