"""Draws what makes two photos similar over them, as a PNG."""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedder.domain.fitted import Floats
from embedder.domain.photos import Pixels
from embedder.embedding.compare import Side

SIDE: Final = 360
"""Pixels of each picture."""
GAP: Final = 12
FADE: Final = 0.55
"""How far a photo fades to grey where nothing makes it similar."""
FOR: Final = np.array([255, 72, 0], np.float32)
AGAINST: Final = np.array([0, 96, 255], np.float32)
"""Colours of regions that make the photos more similar, and less."""


def png(sides: Sequence[Side]) -> bytes:
    """Return a picture with a row for each photo: its wide crop and, if that was looked at, its
    narrow one. Orange makes them similar, blue less so, the stronger the more it adds."""
    rows = [_panels(side) for side in sides]
    strongest = max(float(np.abs(grid).max()) for row in rows for _, grid in row) or 1.0
    width = max(map(len, rows)) * (SIDE + GAP) - GAP
    canvas = Image.new("RGB", (width, len(rows) * (SIDE + GAP) - GAP), "white")
    for down, row in enumerate(rows):
        for across, (pixels, grid) in enumerate(row):
            drawn = Image.fromarray(_drawn(pixels, grid / strongest))
            canvas.paste(drawn, (across * (SIDE + GAP), down * (SIDE + GAP)))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _panels(side: Side) -> list[tuple[Pixels, Floats]]:
    """Each crop with its grid by area; that of the mirror image behind it is turned back and
    added."""
    grids = side.heat.grid * (side.heat.grid.shape[1] * side.heat.grid.shape[2])
    return [
        (
            side.pixels[view],
            grids[view : view + 1].sum(0) + grids[view + 1 : view + 2, :, ::-1].sum(0),
        )
        for view in range(0, len(side.pixels), 2)
    ]


def _drawn(pixels: Pixels, share: Floats) -> npt.NDArray[np.uint8]:
    """A photo under a grid of −1 to 1."""
    size = (SIDE, SIDE)
    photo = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    heat = Image.fromarray(share.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(heat, np.float32), -1, 1)[..., None]
    colour = np.where(strength > 0, FOR, AGAINST)
    grey = np.asarray(photo.convert("L"), np.float32)[..., None]
    faded = np.asarray(photo, np.float32) * (1 - FADE) + grey * FADE
    weight = 0.75 * np.abs(strength)
    return np.clip(faded * (1 - weight) + colour * weight, 0, 255).astype(np.uint8)
