"""Made photos of shelves and counters, whose boxes and products are known.

A facing is a product's catalogue photo without its white background, or a package of drawn shape
with a piece of a photo as its label. Facings are scaled, turned a little, shaded and overlap; then
the whole picture gets a perspective, light, colour, blur and noise. All is drawn from a seed.
"""

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

MOST_FACINGS: Final = 60
WHITE: Final = 18
"""Greatest difference from the border's white that counts as background."""
CUTOUT_SIDE: Final = 256
LEAST_VISIBLE: Final = 0.6
"""Share of a facing that others leave uncovered, at least."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """A product without its background."""

    name: str
    pixels: Pixels
    """uint8 RGB [height, width, 3]"""
    mask: Pixels
    """uint8 [height, width], 255 where the product is."""


@dataclass(frozen=True, slots=True)
class Facing:
    """A product's place in a made photo."""

    name: str
    box: tuple[float, float, float, float]
    """Left, top, right and bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A made photo."""

    pixels: Pixels
    facings: Sequence[Facing]

    def jpeg(self, quality: int = 88) -> bytes:
        """Return the photo as a file."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "JPEG", quality=quality)
        return file.getvalue()


@dataclass(frozen=True, slots=True)
class Material:
    """Material of composites."""

    products: Sequence[Cutout]
    labels: Sequence[Path]
    """Photos whose pieces are labels of drawn packages; empty: only products are shown."""
    textures: Sequence[Path]
    """Photos that are blurred into backgrounds."""
    drawn: float = 0.0
    """Share of the shown products that are drawn packages."""


@functools.cache
def cutout(path: Path, name: str) -> Cutout:
    """Cut a product out of a photo with a white background."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((CUTOUT_SIDE, CUTOUT_SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(image).copy()
    height, width = pixels.shape[:2]
    seen = np.zeros((height + 2, width + 2), np.uint8)
    framed = cv2.copyMakeBorder(pixels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    seen = np.zeros((height + 4, width + 4), np.uint8)
    step = (WHITE,) * 3
    cv2.floodFill(
        framed, seen, (0, 0), (0, 0, 0), step, step, 4 | (255 << 8) | (1 << 17) | (1 << 16)
    )
    mask = 255 - seen[2:-2, 2:-2]
    mask = cv2.erode(cv2.medianBlur(mask, 3), np.ones((2, 2), np.uint8))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Cutout(name, pixels[part], np.ascontiguousarray(mask[part]))


def composite(
    material: Material, count: int, seed: Sequence[int], size: tuple[int, int] = (1280, 960)
) -> Composite:
    """Make a photo of about `count` facings, none if 0; fewer where they would hide one another.

    `size`: width and height in pixels.
    """
    draw = np.random.default_rng(seed)
    canvas = _background(material, draw, size)
    place = _shelf if draw.random() < 0.75 else _counter
    placed = place(canvas, material, count, draw)
    return _photographed(canvas, placed, draw)


Placed: TypeAlias = list[tuple[str, tuple[int, int, int, int]]]


def _shelf(canvas: Pixels, material: Material, count: int, draw: np.random.Generator) -> Placed:
    """Place runs of equal products on boards."""
    height = canvas.shape[0]
    rows = int(np.clip(round(np.sqrt(max(count, 1) / draw.uniform(2.0, 6.0))), 1, 5))
    edges = np.linspace(height * draw.uniform(0, 0.08), height * draw.uniform(0.93, 1), rows + 1)
    placed: Placed = []
    left_of = np.diff(np.round(np.linspace(0, count, rows + 1)).astype(int))
    for row, most in enumerate(left_of.tolist()):
        top, bottom = edges[row], edges[row + 1]
        board = int((bottom - top) * draw.uniform(0.03, 0.1))
        _board(canvas, int(bottom) - board, board, draw)
        _fill_row(canvas, material, (int(top), int(bottom) - board), most, placed, draw=draw)
    return placed


def _fill_row(
    canvas: Pixels,
    material: Material,
    between: tuple[int, int],
    count: int,
    placed: Placed,
    *,
    draw: np.random.Generator,
) -> None:
    if not count:
        return
    width, tall = canvas.shape[1], between[1] - between[0]
    full = draw.uniform(0.6, 0.98)  # share of the row's height
    shown: list[tuple[Cutout, float]] = []
    while len(shown) < count:
        run = min(int(draw.integers(1, 7)), count - len(shown))
        product, high = _product(material, draw), full * draw.uniform(0.75, 1)
        shown += [(product, high * draw.uniform(0.97, 1.0))] * run
    gap = draw.choice([draw.uniform(-0.12, 0.0), draw.uniform(0.0, 0.08), draw.uniform(0.1, 0.5)])
    sizes = [
        (max(8, tall * high * each.mask.shape[1] / each.mask.shape[0]), tall * high)
        for each, high in shown
    ]
    total = sum(wide * (1 + gap) for wide, _ in sizes)
    scale = min(1.0, width * 0.97 / total)
    x = draw.uniform(0, max(1.0, width - total * scale))
    for (product, _), (wide, high) in zip(shown, sizes, strict=True):
        size = int(wide * scale), int(high * scale)
        top = between[1] - size[1] + int(draw.normal(0, 0.01) * tall)
        _paste(canvas, product, (int(x), top), size, placed, draw=draw)
        x += wide * scale * (1 + gap + draw.normal(0, 0.02))


def _counter(canvas: Pixels, material: Material, count: int, draw: np.random.Generator) -> Placed:
    """Place single products anywhere, next to one another."""
    height, width = canvas.shape[:2]
    placed: Placed = []
    cells = max(1, int(np.ceil(np.sqrt(count * width / height))))
    side = width / cells
    rows = max(1, -(-count // cells))
    places = draw.permutation(cells * rows)[:count]
    for place in sorted(places.tolist()):
        product = _product(material, draw)
        longer = side * draw.uniform(0.65, 1.0)
        ratio = product.mask.shape[1] / product.mask.shape[0]
        size = (longer * min(1, ratio), longer * min(1, 1 / ratio))
        row, column = divmod(place, cells)
        x = (column + 0.5 + draw.normal(0, 0.08)) * side - size[0] / 2
        y = (row + 0.5 + draw.normal(0, 0.08)) * height / rows - size[1] / 2
        fits = min(1.0, height / rows / max(size[1], 1) * 1.05)
        _paste(
            canvas,
            product,
            (int(x), int(y)),
            (int(size[0] * fits), int(size[1] * fits)),
            placed,
            draw=draw,
        )
    return placed


def _paste(
    canvas: Pixels,
    product: Cutout,
    at: tuple[int, int],
    size: tuple[int, int],
    placed: Placed,
    *,
    draw: np.random.Generator,
) -> None:
    """Draw a facing, with a shadow, unless it would leave the canvas or hide another facing."""
    wide, high = size
    height, width = canvas.shape[:2]
    x = int(np.clip(at[0], 0, max(0, width - wide)))
    y = int(np.clip(at[1], 0, max(0, height - high)))
    wide, high = min(wide, width - x), min(high, height - y)
    if min(wide, high) < 10:
        return
    box = (x, y, x + wide, y + high)
    if any(_covered(old, box) > 1 - LEAST_VISIBLE for _, old in placed):
        return
    if sum(_covered(box, old) for _, old in placed) > 0.5:
        return
    pixels = cv2.resize(product.pixels, (wide, high), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(product.mask, (wide, high), interpolation=cv2.INTER_AREA)
    angle = draw.normal(0, 1.5)
    move = cv2.getRotationMatrix2D((wide / 2, high / 2), angle, 1 - abs(angle) / 60)
    pixels = cv2.warpAffine(pixels, move, (wide, high), borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(alpha, move, (wide, high))
    lit = pixels.astype(np.float32) * draw.uniform(0.75, 1.1)
    lit *= np.linspace(draw.uniform(0.8, 1.05), draw.uniform(0.8, 1.05), wide)[None, :, None]
    shadow = cv2.GaussianBlur(alpha, (0, 0), max(1.0, wide * 0.05)).astype(np.float32) / 255
    part = canvas[y : y + high, x : x + wide].astype(np.float32)
    part *= 1 - draw.uniform(0.1, 0.5) * shadow[..., None]
    share = alpha[..., None].astype(np.float32) / 255
    canvas[y : y + high, x : x + wide] = (part * (1 - share) + lit * share).clip(0, 255)
    rows, columns = np.flatnonzero((alpha > 127).any(1)), np.flatnonzero((alpha > 127).any(0))
    if len(rows) and len(columns):
        exact = (x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1)
        placed.append((product.name, tuple(map(int, exact))))  # type: ignore[arg-type]


def _covered(old: tuple[int, ...], new: tuple[int, ...]) -> float:
    """Return the share of a box that another one covers."""
    wide = min(old[2], new[2]) - max(old[0], new[0])
    high = min(old[3], new[3]) - max(old[1], new[1])
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / ((old[2] - old[0]) * (old[3] - old[1]))


def _product(material: Material, draw: np.random.Generator) -> Cutout:
    if material.labels and draw.random() < material.drawn:
        return _package(material, draw)
    return material.products[int(draw.integers(len(material.products)))]


def _package(material: Material, draw: np.random.Generator) -> Cutout:
    """Draw a package: a box, a can, a bottle or a bag, with a label and lines of text."""
    high = 240
    wide = int(
        high * draw.choice([draw.uniform(0.25, 0.5), draw.uniform(0.5, 1.0), draw.uniform(1, 1.8)])
    )
    mask: Any = np.zeros((high, wide), np.uint8)
    shape = draw.integers(4)
    if shape == 0:
        mask[:] = 255
    elif shape == 1:
        radius = int(min(wide, high) * draw.uniform(0.05, 0.3))
        cv2.rectangle(mask, (radius, 0), (wide - radius - 1, high - 1), (255,), -1)
        cv2.rectangle(mask, (0, radius), (wide - 1, high - radius - 1), (255,), -1)
        for cx in (radius, wide - radius - 1):
            for cy in (radius, high - radius - 1):
                cv2.circle(mask, (cx, cy), radius, (255,), -1)
    elif shape == 2:
        neck, body = int(wide * draw.uniform(0.15, 0.3)), int(high * draw.uniform(0.25, 0.45))
        middle = wide // 2
        outline = [
            (middle - neck, 0),
            (middle + neck, 0),
            (middle + neck, body // 2),
            (wide - 1, body),
            (wide - 1, high - 1),
            (0, high - 1),
            (0, body),
            (middle - neck, body // 2),
        ]
        cv2.fillPoly(mask, [np.array(outline, np.int32)], (255,))
    else:
        cv2.ellipse(
            mask, (wide // 2, high // 2), (wide // 2 - 1, high // 2 - 1), 0, 0, 360, (255,), -1
        )
    colour = draw.uniform(0, 255, 3)
    shade = np.linspace(draw.uniform(0.7, 1.1), draw.uniform(0.7, 1.1), wide)
    pixels = (
        np.tile((colour[None, None] * shade[None, :, None]), (high, 1, 1))
        .clip(0, 255)
        .astype(np.uint8)
    )
    if draw.random() < 0.85:
        _label(pixels, _piece(material.labels, draw), draw)
    for _ in range(int(draw.integers(0, 6))):
        x, y = int(draw.integers(wide)), int(draw.integers(high))
        size = float(draw.uniform(0.3, 1.5))
        text = "".join(map(chr, draw.integers(65, 91, int(draw.integers(3, 9)))))
        ink = tuple(map(float, draw.uniform(0, 255, 3)))
        cv2.putText(
            pixels,
            text,
            (x - wide // 3, y),
            int(draw.integers(0, 6)),
            size,
            ink,
            int(1 + size),
            cv2.LINE_AA,
        )
    return Cutout("", pixels, mask)


def _label(pixels: Pixels, piece: Pixels, draw: np.random.Generator) -> None:
    high, wide = pixels.shape[:2]
    top, bottom = sorted(
        draw.choice(
            [0, int(draw.uniform(0, high * 0.4)), int(draw.uniform(high * 0.5, high)), high],
            2,
            replace=False,
        ).tolist()
    )
    if bottom - top < 8:
        top, bottom = 0, high
    side = int(draw.uniform(0, wide * 0.2)) if draw.random() < 0.5 else 0
    if wide - 2 * side < 8:
        side = 0
    pixels[top:bottom, side : wide - side] = cv2.resize(
        piece, (wide - 2 * side, bottom - top), interpolation=cv2.INTER_AREA
    )


@functools.lru_cache(4096)
def _opened(path: Path) -> Pixels:
    image = Image.open(path).convert("RGB")
    image.thumbnail((256, 256), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _piece(paths: Sequence[Path], draw: np.random.Generator) -> Pixels:
    photo = _opened(paths[int(draw.integers(len(paths)))])
    high, wide = photo.shape[:2]
    share = draw.uniform(0.3, 1.0)
    h, w = max(8, int(high * share)), max(8, int(wide * share))
    y, x = int(draw.integers(high - h + 1)), int(draw.integers(wide - w + 1))
    return np.ascontiguousarray(photo[y : y + h, x : x + w])


def _background(material: Material, draw: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Draw a wall: a colour with a gradient, grain or boards, or a blurred photo."""
    width, height = size
    kind = draw.integers(4)
    if kind == 0 and material.textures:
        piece = cv2.resize(
            _piece(material.textures, draw), (width, height), interpolation=cv2.INTER_CUBIC
        )
        blurred = cv2.GaussianBlur(piece, (0, 0), draw.uniform(15, 60)).astype(np.float32)
        return (blurred * draw.uniform(0.5, 1.1)).clip(0, 255).astype(np.uint8)
    base = draw.uniform(20, 245) + draw.normal(0, 18, 3)
    down, across = (_ramp(draw, 0.7, 1.15, count) for count in (height, width))
    made: Any = base[None, None] * down[:, None, None] * across[None, :, None]
    if kind == 1:  # grain of wood or fabric
        lines = draw.normal(0, draw.uniform(4, 18), (height if draw.random() < 0.5 else 1, 1, 1))
        across_lines = draw.normal(0, draw.uniform(2, 14), (1, width, 1))
        made = (
            made
            + cv2.GaussianBlur(lines.astype(np.float32), (1, 5), 2).reshape(-1, 1, 1)
            + across_lines
        )
    elif kind == 2:  # panels, tiles, pegs
        step = int(draw.integers(30, 240))
        made[::step] *= 0.7
        if draw.random() < 0.6:
            made[:, ::step] *= 0.7
    whole: Pixels = made.clip(0, 255).astype(np.uint8)
    return whole


def _ramp(
    draw: np.random.Generator, low: float, high: float, count: int
) -> npt.NDArray[np.float64]:
    """Return a line between two drawn values, [count]."""
    start, end = draw.uniform(low, high, 2)
    return np.linspace(start, end, count)


def _board(canvas: Pixels, top: int, high: int, draw: np.random.Generator) -> None:
    """Draw a board with price labels."""
    if high < 2:
        return
    width = canvas.shape[1]
    colour = draw.uniform(30, 250) + draw.normal(0, 15, 3)
    shade = np.linspace(1.05, 0.8, high)[:, None, None]
    canvas[top : top + high] = (colour[None, None] * shade).clip(0, 255)
    for x in np.arange(draw.integers(0, 80), width, draw.integers(60, 240)):
        if draw.random() < 0.6 and high > 8:
            wide = int(high * draw.uniform(1, 2.5))
            cv2.rectangle(
                canvas, (int(x), top + 1), (int(x) + wide, top + high - 2), (240, 240, 235), -1
            )
            text = f"{draw.uniform(1, 99):.2f}"
            cv2.putText(
                canvas,
                text,
                (int(x) + 2, top + high - 4),
                0,
                high / 45,
                (20, 20, 20),
                1,
                cv2.LINE_AA,
            )


def _photographed(canvas: Pixels, placed: Placed, draw: np.random.Generator) -> Composite:
    """Apply perspective, light, colour, blur and noise."""
    height, width = canvas.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = corners + draw.uniform(0, 0.05, (4, 2)).astype(np.float32) * np.array(
        [(width, height), (-width, height), (-width, -height), (width, -height)], np.float32
    )
    # The corners of the photo lie inside of the picture, so that it has no empty edges.
    view = cv2.getPerspectiveTransform(moved, corners)
    seen = cv2.warpPerspective(canvas, view, (width, height), flags=cv2.INTER_AREA)
    facings = []
    for name, (left, top, right, bottom) in placed:
        points = np.array(
            [[(left, top), (right, top), (right, bottom), (left, bottom)]], np.float32
        )
        across, down = cv2.perspectiveTransform(points, view)[0].T
        whole = (across.min(), down.min(), across.max(), down.max())
        box = tuple(
            float(np.clip(v, 0, m)) for v, m in zip(whole, (width, height) * 2, strict=True)
        )
        area = (whole[2] - whole[0]) * (whole[3] - whole[1])
        if (box[2] - box[0]) * (box[3] - box[1]) >= LEAST_VISIBLE * area:
            facings.append(Facing(name, box))  # type: ignore[arg-type]
    light = _ramp(draw, 0.75, 1.15, width)[None, :, None]
    made: Any = seen.astype(np.float32) * light * draw.uniform(0.9, 1.1, 3)
    made = 255 * (made.clip(0, 255) / 255) ** draw.uniform(0.8, 1.25)
    if draw.random() < 0.6:
        made = cv2.GaussianBlur(made, (0, 0), draw.uniform(0.4, 1.5))
    made += draw.normal(0, draw.uniform(0.5, 6), made.shape)
    return Composite(made.clip(0, 255).astype(np.uint8), facings)
