"""Photos of pieces on an inspection table, made of photos of groceries and clothes, and defects.

A table: one photo, each time moved, turned and scaled a little, in other light, with noise and in
another JPEG. Defects of six kinds are drawn into the middle of the piece in three grades: one that
is seen when it is looked for (faint), one that is seen at once (middle), and one that is large
(strong). Everything follows from the given random numbers.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
Mask: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]

KINDS: Final = ("scratch", "stain", "dent", "missing part", "wrong colour", "wrong label")
GRADES: Final = ("faint", "middle", "strong")
SIZES: Final = (0.08, 0.12, 0.18)
"""Half the size of a defect, as a share of the photo's shorter side, by grade."""
STRENGTHS: Final = (0.5, 0.75, 0.95)
"""Weight of a drawn colour, by grade."""


def read(path: Path) -> Pixels:
    """Return a photo, uint8 RGB [height, width, 3]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.uint8)


def on_table(photo: Pixels, rng: np.random.Generator) -> bytes:
    """Return a photo of the piece as the table's camera takes it, a JPEG."""
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.normal(0, 1.5), 1 + rng.normal(0, 0.015)
    )
    turn[:, 2] += rng.normal(0, 0.01, 2) * width
    moved = cv2.warpAffine(
        photo, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    lit = moved * (1 + rng.normal(0, 0.06)) * (1 + rng.normal(0, 0.015, 3))
    lit = 255 * np.clip(lit / 255, 0, 1) ** np.exp(rng.normal(0, 0.06))
    noisy = np.clip(lit + rng.normal(0, 3, lit.shape), 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 95))]
    return bytes(cv2.imencode(".jpg", noisy[..., ::-1], quality)[1])


def with_defect(
    photo: Pixels, kind: str, grade: int, others: Sequence[Pixels], rng: np.random.Generator
) -> tuple[Pixels, Mask]:
    """Return a photo with a defect, and where it is. `others`: photos that wrong labels are cut
    from; `grade`: place in GRADES."""
    shorter = min(photo.shape[:2])
    middle = np.array(photo.shape[1::-1]) / 2 + rng.uniform(-0.22, 0.22, 2) * shorter
    made, mask = _DRAWN[kind](photo, middle.astype(np.float32), grade, others, rng)
    return np.clip(made, 0, 255).astype(np.uint8), mask > 0.3


def grid_of(mask: Mask, side: int) -> Mask:
    """Return where a defect is in the padded square of a photo, [side, side]."""
    height, width = mask.shape
    square = np.zeros((max(mask.shape), max(mask.shape)), np.float32)
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    square[top : top + height, left : left + width] = mask
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA) > 0.25)


def _size(photo: Pixels, grade: int) -> float:
    return float(min(photo.shape[:2]) * SIZES[grade])


def _mixed(photo: Pixels, colour: npt.ArrayLike, weight: Floats) -> Floats:
    share = weight[..., None]
    return np.asarray(photo * (1 - share) + np.asarray(colour, np.float32) * share, np.float32)


def _scratch(
    photo: Pixels, middle: Floats, grade: int, _: Sequence[Pixels], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    size, angle, count = _size(photo, grade), rng.uniform(0, np.pi), 12
    along = np.linspace(-1.6 * size, 1.6 * size, count)
    points = np.stack([along * np.cos(angle), along * np.sin(angle)], 1)
    points = middle + points + rng.normal(0, size * 0.06, (count, 2))
    mask = np.zeros(photo.shape[:2], np.float32)
    line = points.astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(mask, [line], False, (1.0,), max(1, round(size * 0.12)), cv2.LINE_AA)
    colour = (230, 230, 225) if rng.random() < 0.5 else (40, 35, 30)
    return _mixed(photo, colour, mask * STRENGTHS[grade]), mask


def _stain(
    photo: Pixels, middle: Floats, grade: int, _: Sequence[Pixels], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    size, (height, width) = _size(photo, grade), photo.shape[:2]
    mask = np.zeros((height, width), np.float32)
    axes = (int(size), int(size * rng.uniform(0.5, 1)))
    cv2.ellipse(mask, _point(middle), axes, rng.uniform(0, 180), 0, 360, (1.0,), -1)
    cloud = cv2.resize(rng.normal(0, 1, (6, 6)), (width, height), interpolation=cv2.INTER_CUBIC)
    mask = cv2.GaussianBlur(mask, (0, 0), size * 0.15) * np.clip(0.85 + 0.3 * cloud, 0, 1)
    mask = np.clip(mask, 0, 1).astype(np.float32)
    colours = ((70, 45, 25), (60, 80, 30), (120, 20, 25), (30, 30, 60))
    colour = colours[int(rng.integers(len(colours)))]
    return _mixed(photo, colour, mask * (0.8 * STRENGTHS[grade])), mask


def _dent(
    photo: Pixels, middle: Floats, grade: int, _: Sequence[Pixels], __: np.random.Generator
) -> tuple[Floats, Floats]:
    size, (height, width) = _size(photo, grade), photo.shape[:2]
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    right, below = across - middle[0], down - middle[1]
    bulge = np.clip(1 - (np.hypot(right, below) / (size * 1.2)) ** 2, 0, 1) ** 2
    pull = bulge * (0.8 * (0.4, 0.7, 1.0)[grade] * size / (size + 1))
    bent = cv2.remap(
        photo,
        (across + right * pull).astype(np.float32),
        (down + below * pull).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    shade = (right - below) / size * bulge * (0.45 * STRENGTHS[grade])
    return np.asarray(bent * (1 + shade[..., None]), np.float32), (bulge > 0.08).astype(np.float32)


def _missing(
    photo: Pixels, middle: Floats, grade: int, _: Sequence[Pixels], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    size = _size(photo, grade)
    mask = np.zeros(photo.shape[:2], np.float32)
    axes = (int(size * 1.1), int(size * 0.9))
    cv2.ellipse(mask, _point(middle), axes, rng.uniform(0, 180), 0, 360, (1.0,), -1)
    border = np.concatenate([photo[:6].reshape(-1, 3), photo[:, :6].reshape(-1, 3)])
    weight = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2) * (0.7, 0.95, 1.0)[grade], np.float32)
    return _mixed(photo, np.median(border, axis=0), weight), mask


def _colour(
    photo: Pixels, middle: Floats, grade: int, _: Sequence[Pixels], __: np.random.Generator
) -> tuple[Floats, Floats]:
    mask: Floats = np.zeros(photo.shape[:2], np.float32)
    size = _size(photo, grade) * 1.1
    cv2.rectangle(mask, _point(middle - size), _point(middle + size), (1.0,), -1)
    shades = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV).astype(np.float32)
    shades[..., 0] = (shades[..., 0] + (30, 50, 80)[grade]) % 180
    shades[..., 1] = np.clip(shades[..., 1] + (20, 40, 60)[grade], 0, 255)
    changed = cv2.cvtColor(shades.astype(np.uint8), cv2.COLOR_HSV2RGB)
    weight = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2), np.float32)
    return _mixed(photo, changed, weight), mask


def _label(
    photo: Pixels, middle: Floats, grade: int, others: Sequence[Pixels], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    side, (height, width) = int(_size(photo, grade) * 1.8), photo.shape[:2]
    other = others[int(rng.integers(len(others)))]
    tall, wide = (size // 4 for size in other.shape[:2])
    top, left = int(rng.integers(tall, 2 * tall)), int(rng.integers(wide, 2 * wide))
    part = cv2.resize(other[top : top + tall, left : left + wide], (side, side))
    x = int(np.clip(middle[0] - side / 2, 0, width - side))
    y = int(np.clip(middle[1] - side / 2, 0, height - side))
    mask, whole = np.zeros((height, width), np.float32), photo.copy()
    mask[y : y + side, x : x + side] = 1
    whole[y : y + side, x : x + side] = part
    return _mixed(photo, whole, mask * np.float32((0.6, 0.85, 1.0)[grade])), mask


def _point(at: Floats) -> tuple[int, int]:
    return int(at[0]), int(at[1])


_DRAWN = dict(zip(KINDS, (_scratch, _stain, _dent, _missing, _colour, _label), strict=True))


def chosen(paths: Sequence[Path], count: int) -> Iterator[Path]:
    """Yield some photos, spread evenly over the list."""
    for at in np.linspace(0, len(paths) - 1, count).astype(int):
        yield paths[at]
