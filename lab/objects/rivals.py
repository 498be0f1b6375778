"""Other ways to find products in a photo: template matching, and a sliding window of the backbone.

Both compare every place with every product of the catalog, at some sizes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from embedder.domain.photos import Box
from embedder.preprocessing import preprocess
from lab.datasets import featured
from lab.objects import finding, material
from lab.objects.composites import cutout
from sightline_rules.detections import merged

Doubles: TypeAlias = npt.NDArray[np.float64]

WIDTH: Final = 320
"""Longer side of a photo in which templates are matched."""
HEIGHTS: Final = (0.1, 0.15, 0.22, 0.32, 0.46, 0.66)
"""Heights of templates and windows, as shares of the photo's."""
RATIOS: Final = (0.4, 0.7, 1.0)
"""Widths of windows by their heights."""
STRIDE: Final = 0.5
"""Distance of two windows, as a share of their sides."""
LEAST: Final = {"template matching": 0.4, "sliding window": 0.4}
MOST: Final = 300


@dataclass(frozen=True, slots=True)
class Proposals:
    """Boxes in pixels with their scores, best first."""

    boxes: Doubles
    scores: Doubles


def templates(image: Image.Image) -> Proposals:
    """Match each product's catalogue photo, without its background's border, at some sizes."""
    scale = WIDTH / max(image.size)
    photo = np.asarray(
        image.resize((round(image.width * scale), round(image.height * scale)))
    ).astype(np.float32)
    boxes, scores = list[Doubles](), list[Doubles]()
    for path in material.iconic():
        product = cutout(path, material.name_of(path)).pixels
        for share in HEIGHTS:
            high = round(share * photo.shape[0])
            wide = round(high * product.shape[1] / product.shape[0])
            if min(high, wide) < 6 or wide >= photo.shape[1]:
                continue
            template = cv2.resize(product, (wide, high), interpolation=cv2.INTER_AREA)
            found = cv2.matchTemplate(photo, template.astype(np.float32), cv2.TM_CCOEFF_NORMED)
            rows, columns = np.nonzero(found >= LEAST["template matching"])
            corners = np.stack([columns, rows, columns + wide, rows + high], axis=1) / scale
            boxes.append(corners)
            scores.append(found[rows, columns].astype(np.float64))
    return _best(np.concatenate(boxes), np.concatenate(scores))


def windows(image: Image.Image) -> Proposals:
    """Embed windows of some sizes and compare each with the catalogue photos."""
    _, vectors = finding.catalog()
    recipe, places = featured.backbone(finding.EMBEDDER).recipe, [*_windows(image.size)]
    seen = [preprocess.on_white(image, recipe, place) for place in places]
    similar = (finding.embedded(np.stack(seen)) @ vectors.T).max(axis=1).astype(np.float64)
    kept = similar >= LEAST["sliding window"]
    return _best(finding.in_pixels(image, places)[kept], similar[kept])


def _windows(size: tuple[int, int]) -> Iterator[Box]:
    width, height = size
    for share in HEIGHTS[2:]:
        for ratio in RATIOS:
            wide = share * height * ratio / width
            down = np.arange(0, 1 - share + 1e-9, share * STRIDE)
            for top in down.tolist():
                for left in np.arange(0, 1 - wide + 1e-9, wide * STRIDE).tolist():
                    yield Box(left, top, min(left + wide, 1.0), min(top + share, 1.0))


def _best(boxes: Doubles, scores: Doubles) -> Proposals:
    order = np.argsort(-scores, kind="stable")[:4_000]
    kept, found = merged(boxes[order].reshape(-1, 4), scores[order], MOST)
    return Proposals(np.asarray(kept, np.float64), np.asarray(found, np.float64))


def threshold(found: Sequence[tuple[Proposals, Doubles]]) -> float:
    """Return the score from which boxes count, of the highest F1 on photos with these facings."""
    truths = sum(len(truth) for _, truth in found)

    def f1(least: float) -> float:
        kept = [(each.boxes[each.scores >= least], truth) for each, truth in found]
        right = sum(
            sum(pair >= 0 for pair in finding.paired(boxes, truth)) for boxes, truth in kept
        )
        return 2 * right / max(1, truths + sum(len(boxes) for boxes, _ in kept))

    tried: list[float] = np.linspace(0.4, 0.95, 23).tolist()
    return max(tried, key=f1)


RIVALS: Final[dict[str, Callable[[Image.Image], Proposals]]] = {
    "template matching": templates,
    "sliding window": windows,
}
