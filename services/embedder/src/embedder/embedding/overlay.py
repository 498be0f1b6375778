"""Draws the contributions to the similarity of two photos over them, as a PNG."""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from embedder.domain.fitted import Floats
from embedder.domain.photos import CROPS, Pixels
from embedder.embedding.compare import ComparedSide
from sightline_rules.heat_colours import COMPRESSION, coloured

GAP: Final = 8
"""Pixels between pictures. A picture has the size of the model's input."""


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
            picture = Image.fromarray(coloured(pixels, grid / strongest))
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
