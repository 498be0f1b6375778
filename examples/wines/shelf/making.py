"""Made photos of shelves. The wines' photos show labels; short necks are drawn above them.

A made photo is no evidence of quality on real shelves: the bench `detect` measures made ones too,
with products and backgrounds that no fit has seen.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

IMAGES = Path(__file__).parent.parent / "images"
BACKGROUND = (76, 105, 113)
"""Colour around the bottle in photos with a removed background."""
TOLERANCE = 28
BODY = (150, 210)
"""Width and height, in pixels, of the part of a bottle that its photo shows."""
SHOULDER, NECK = 24, 20
"""Heights of the drawn parts."""
NECK_SHARE = 0.36
"""Width of the neck as a share of the body's."""
GAP, MARGIN, BOARD, ABOVE = 16, 60, 26, 30
"""Pixels between bottles, beside a row, of a board, and above the bottles."""

Pixels = npt.NDArray[np.uint8]
GAP_ON_SHELF = ""


def made(rows: Sequence[Sequence[str]], seed: int = 7) -> bytes:
    """Return the photo, as JPEG, of rows of wines, by id; GAP_ON_SHELF is an empty place."""
    chance = np.random.default_rng(seed)
    height = SHOULDER + NECK + BODY[1]
    step = ABOVE + height + BOARD
    width = 2 * MARGIN + max(map(len, rows)) * (BODY[0] + GAP)
    photo = Image.fromarray(_wall(width, step * len(rows) + ABOVE, chance))
    for number, row in enumerate(rows):
        board = (number + 1) * step - BOARD
        photo.paste(Image.fromarray(_board(width, chance)), (0, board))
        for place, wine in enumerate(row):
            if wine != GAP_ON_SHELF:
                bottle = _bottle(wine, chance)
                left = MARGIN + place * (BODY[0] + GAP) + int(chance.integers(-4, 5))
                photo.paste(bottle, (left, board - height + int(chance.integers(0, 3))), bottle)
    file = io.BytesIO()
    photo.filter(ImageFilter.GaussianBlur(0.6)).save(file, "JPEG", quality=90)
    return file.getvalue()


def place(rows: Sequence[Sequence[str]], row: int, position: int) -> dict[str, float]:
    """Return the box of a bottle on the photo of such rows, in fractions of its sides."""
    height = SHOULDER + NECK + BODY[1]
    step = ABOVE + height + BOARD
    width = 2 * MARGIN + max(map(len, rows)) * (BODY[0] + GAP)
    left, bottom = MARGIN + position * (BODY[0] + GAP), (row + 1) * step - BOARD
    whole = step * len(rows) + ABOVE
    return {
        "left": left / width,
        "top": (bottom - height) / whole,
        "right": (left + BODY[0]) / width,
        "bottom": bottom / whole,
    }


def _wall(width: int, height: int, chance: np.random.Generator) -> Pixels:
    light = np.linspace(1.0, 0.85, height)[:, None, None]
    noise = chance.normal(0, 3, (height, width, 1))
    return _pixels(np.array((214, 206, 194)) * light + noise)


def _board(width: int, chance: np.random.Generator) -> Pixels:
    grain = chance.normal(0, 8, (BOARD, 1, 1)) + chance.normal(0, 3, (BOARD, width, 1))
    light = np.linspace(1.15, 0.7, BOARD)[:, None, None]
    return _pixels(np.array((134, 96, 62)) * light + grain)


def _bottle(wine: str, chance: np.random.Generator) -> Image.Image:
    """Return a bottle with transparency around it, a little lighter or darker than its photo."""
    body = _body(wine)
    top = body[4:12].mean(axis=0)
    parts = [_narrowed(top, share) for share in _shoulders()]
    drawn = np.concatenate([np.stack(parts), body])
    drawn[..., :3] *= chance.uniform(0.9, 1.08)
    return Image.fromarray(_pixels(drawn), "RGBA")


def _body(wine: str) -> npt.NDArray[np.float64]:
    """Return what the photo shows of the bottle, without its background."""
    with Image.open(IMAGES / f"{wine}.jpg") as opened:
        whole = np.asarray(opened.convert("RGB")).astype(int)
    shown = np.abs(whole - BACKGROUND).max(axis=2) > TOLERANCE
    columns = np.flatnonzero(shown.mean(axis=0) > 0.5)
    cut = whole[:, columns[0] : columns[-1] + 1].astype(np.uint8)
    scaled = np.asarray(Image.fromarray(cut).resize(BODY, Image.Resampling.LANCZOS))
    return np.dstack([scaled, np.full(BODY[::-1], 255)]).astype(np.float64)


def _shoulders() -> Sequence[float]:
    """Return the width of each drawn row, from the top, as a share of the body's."""
    turn = (1 - np.cos(np.linspace(0, np.pi, SHOULDER))) / 2
    return [*[NECK_SHARE] * NECK, *(NECK_SHARE + (1 - NECK_SHARE) * turn)]


def _narrowed(row: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    """Return a row of pixels at a part of its width, transparent beside it."""
    width = len(row)
    inner = max(int(width * share), 1)
    found = np.zeros_like(row)
    start = (width - inner) // 2
    found[start : start + inner] = row[np.linspace(0, width - 1, inner).astype(int)]
    return found


def _pixels(values: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(values, 0, 255).astype(np.uint8)
