"""Texts on labels: lines from the maps of a detector of texts (Liao et al., Real-time Scene Text
Detection with Differentiable Binarization, AAAI 2020) and from a reader's characters (Graves et
al., Connectionist Temporal Classification, ICML 2006)."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from embedder.domain.items import Vectors
from sightline_rules.texts import composed

LEAST_CHANCE: Final = 0.3
"""Probability from which a pixel is a text's."""
LEAST_MEAN: Final = 0.5
"""Mean probability of a rectangle's pixels from which it is a line."""
GROWTH: Final = 1.6
"""Growth of a rectangle on each side, relative to its area divided by its circumference: the
detector is trained on shrunken texts."""
LEAST_CONFIDENCE: Final = 0.6
"""Confidence from which a line is returned; lower ones are mostly no text."""
MOST_LINES: Final = 64
MOST_BYTES: Final = 128
"""Most bytes of a line's text in UTF-8."""
LINE_HEIGHT: Final = 48
"""Pixels of a line's height as the reader takes it."""
LEAST_WIDTH, MOST_WIDTH, WIDTH_STEP = 64, 1280, 32
"""Pixels of a line's width as the reader takes it; longer lines are compressed."""
LEAST_FILL: Final = 0.85
"""Least width of a line relative to the widest of its batch: padding costs as much as text."""
STRIDE: Final = 32
"""The detector takes pixels whose sides are multiples of this."""
BATCH, BATCH_WIDTH = 8, 2560
"""Most lines of one inference, and most pixels of their widths together: the reader has 75 kB for
each eight pixels."""
SAME_ROW: Final = 0.5
"""Share of a line's height by which a line beside it may be higher or lower."""

Corners = npt.NDArray[np.float32]
"""[4, 2]: x and y of the top left, top right, bottom right and bottom left corner."""


class Point(NamedTuple):
    """A point in a photo that stands upright, as fractions of its width and height."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A line of text in a photo."""

    text: str
    confidence: float
    """Mean probability of its characters, at least LEAST_CONFIDENCE, at most 1."""
    corners: tuple[Point, Point, Point, Point]
    """Top left, top right, bottom right and bottom left, as seen by a reader of the line that does
    not run upwards."""


@dataclass(frozen=True, slots=True)
class Label:
    """The texts in a photo."""

    lines: Sequence[LabelLine]
    """In reading order."""
    unsure: int
    """Number of lines that were found and left out: without text, or with less than
    LEAST_CONFIDENCE."""


class ReadText(NamedTuple):
    """Text of a line as a reader returned it."""

    text: str
    confidence: float


def decoded(read: Vectors) -> ReadText:
    """Return the text of a reader's output, float32 [steps, 2]: a character's code point, 0 for
    none, and its probability. Equal characters of neighbouring steps are one."""
    codes = read[:, 0].astype(np.int64)
    kept = (codes > 0) & (codes < 0x110000)
    kept[1:] &= codes[1:] != codes[:-1]
    if not kept.any():
        return ReadText("", 0.0)
    text = "".join(map(chr, codes[kept].tolist()))
    return ReadText(cleaned(text), float(read[kept, 1].mean().clip(0, 1)))


def cleaned(text: str) -> str:
    """Return a text in NFC without control characters and surrounding spaces, cut after MOST_BYTES
    bytes of UTF-8."""
    shown = "".join(each for each in text if unicodedata.category(each)[0] != "C")
    whole = composed(" ".join(shown.split())).encode()
    return whole[:MOST_BYTES].decode(errors="ignore").strip()


def width_of(corners: Corners) -> int:
    """Return the pixels of a line's width as the reader takes it, without padding."""
    along, across = sides_of(corners)
    longer, shorter = (across, along) if is_upright(along, across) else (along, across)
    return int(np.clip(np.ceil(LINE_HEIGHT * longer / max(shorter, 1.0)), 1, MOST_WIDTH))


def sides_of(corners: Corners) -> tuple[float, float]:
    """Return a line's width and height."""
    along = np.linalg.norm(corners[[0, 3]] - corners[[1, 2]], axis=1).max()
    across = np.linalg.norm(corners[[0, 1]] - corners[[3, 2]], axis=1).max()
    return float(along), float(across)


def is_upright(along: float, across: float) -> bool:
    """Return whether a rectangle of these sides is a line that runs up or down."""
    return across >= 1.5 * along


def batches(widths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Yield the places of lines that are read together, a few of similar widths, and the width to
    which they are padded."""
    padded = [-(-max(width, LEAST_WIDTH) // WIDTH_STEP) * WIDTH_STEP for width in widths]
    order = sorted(range(len(widths)), key=padded.__getitem__, reverse=True)
    while order:
        widest = padded[order[0]]
        most = min(BATCH, BATCH_WIDTH // widest)
        alike = [place for place in order[:most] if padded[place] >= widest * LEAST_FILL]
        yield alike, widest
        order = order[len(alike) :]


def largest(found: Sequence[Corners]) -> list[Corners]:
    """Return the MOST_LINES lines of the largest areas."""
    sizes = [-np.prod(sides_of(corners)) for corners in found]
    return [found[place] for place in np.argsort(sizes, kind="stable")[:MOST_LINES]]


def in_reading_order(found: Sequence[Corners]) -> list[Corners]:
    """Return lines by rows from the top, those of a row from the left."""
    rows: list[list[Corners]] = []
    for corners in sorted(found, key=lambda each: (float(each[:, 1].mean()), float(each[0, 0]))):
        middle, (_, height) = float(corners[:, 1].mean()), sides_of(corners)
        if rows and abs(middle - float(rows[-1][0][:, 1].mean())) < SAME_ROW * height:
            rows[-1].append(corners)
        else:
            rows.append([corners])
    return [each for row in rows for each in sorted(row, key=lambda one: float(one[0, 0]))]


def part_of(side: int, ratio: float) -> tuple[slice, slice]:
    """Return the rows and columns of a padded square of `side` pixels that the photo in its middle
    has, in multiples of STRIDE. `ratio`: the photo's width divided by its height."""
    shares = min(1 / ratio, 1.0), min(ratio, 1.0)
    sizes = [min(-(-round(side * share) // STRIDE) * STRIDE, side) for share in shares]
    rows, columns = (slice((side - size) // 2, (side + size) // 2) for size in sizes)
    return rows, columns


def in_photo(corners: Corners, side: int, ratio: float) -> tuple[Point, Point, Point, Point]:
    """Return corners in a padded square of `side` pixels as points in the photo in its middle.

    `ratio`: the photo's width divided by its height.
    """
    share = np.array([min(ratio, 1.0), min(1 / ratio, 1.0)])
    shown = ((corners / side - (1 - share) / 2) / share).clip(0, 1)
    first, second, third, fourth = (Point(float(x), float(y)) for x, y in shown)
    return first, second, third, fourth
