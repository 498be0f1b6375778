"""Draws the contributions to the similarity of two photos over them, as a PNG."""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedder.domain.fitted import Floats
from embedder.domain.photos import CROPS, Pixels
from embedder.embedding.compare import ComparedSide

GAP: Final = 8
"""Pixels between pictures. A picture has the size of the model's input."""
COMPRESSION: Final = 1
"""PNG compression level, 0 to 9. The default 6 takes four times as long and saves a tenth."""
FADE: Final = 0.55
"""Share of grey mixed into a photo where positions contribute nothing."""
FOR: Final = np.array([255, 72, 0], np.float32)
AGAINST: Final = np.array([0, 96, 255], np.float32)
"""Colours of positive (FOR) and negative (AGAINST) contributions."""


def png(sides: Sequence[ComparedSide]) -> bytes:
    """Return a picture with a row for each photo: its wide crop and, if used, its narrow crop.
    Orange regions add to the similarity, blue ones reduce it; intensity shows the amount."""
    rows = [_panels(side) for side in sides]
    strongest = max(float(np.abs(grid).max()) for row in rows for _, grid in row) or 1.0
    step = sides[0].pixels.shape[1] + GAP
    size = (max(map(len, rows)) * step - GAP, len(rows) * step - GAP)
    canvas = Image.new("RGB", size, "white")
    for down, row in enumerate(rows):
        for across, (pixels, grid) in enumerate(row):
            picture = Image.fromarray(drawn(pixels, grid / strongest))
            canvas.paste(picture, (across * step, down * step))
    file = io.BytesIO()
    canvas.save(file, "PNG", compress_level=COMPRESSION)
    return file.getvalue()


def _panels(side: ComparedSide) -> list[tuple[Pixels, Floats]]:
    """Return each crop with its grid per area; the mirrored view's grid is mirrored back and
    added."""
    grids = side.heat.grid * (side.heat.grid.shape[1] * side.heat.grid.shape[2])
    return [
        (
            side.pixels[view],
            grids[view] + grids[view + CROPS : view + CROPS + 1, :, ::-1].sum(0),
        )
        for view in range(min(CROPS, len(side.pixels)))
    ]


def drawn(pixels: Pixels, share: Floats) -> npt.NDArray[np.uint8]:
    """Return a photo coloured by a grid of values from −1 to 1."""
    heat = Image.fromarray(share).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    strength = np.asarray(heat, np.float32)[..., None]
    weight = 0.75 * np.minimum(np.abs(strength), 1)
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)[..., None]
    faded = pixels * np.float32(1 - FADE) + grey * np.float32(FADE)
    return (faded + (np.where(strength > 0, FOR, AGAINST) - faded) * weight).astype(np.uint8)
