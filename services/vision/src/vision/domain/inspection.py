"""Anomalies in the photo of a piece, by features of the patches of photos of good pieces.

PatchCore (K. Roth et al., CVPR 2022): a patch is as anomalous as its mid-level features are far
from the nearest ones in a memory, a greedy coreset of the patches of good photos. One camera shows
the same part of each piece at the same place, so the distances are standardised by position: by the
mean and deviation of the distances that good photos have there while they are left out of the
memory. A defect covers several positions and noise does not, so distances are averaged over their
neighbours first. A photo's score is the highest standardised distance of its patches.

Verdicts are conformal (V. Vovk et al., Algorithmic Learning in a Random World): a new photo is
ranked among the scores of the good photos, each of them scored while it is left out. If it is as
exchangeable with them as they are with one another, at most the asked share of good pieces is
called unlike.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from sightline_rules.grids import smooth
from sightline_rules.photo_areas import PhotoArea
from vision.domain.objects import Floats

Pixels = npt.NDArray[np.uint8]

FEWEST_PHOTOS: Final = 10
MOST_PHOTOS: Final = 500
FOLDS: Final = 8
"""Parts that the good photos are divided into; with fewer photos, each is a part of its own."""
DIMENSIONS: Final = 64
"""Components of a patch, after a random projection of the standardised features."""
MOST_SAMPLED: Final = 8_000
"""Patches of good photos that a memory is chosen from, at most; a random sample of more."""
MOST_PATCHES: Final = 1_000
"""Patches of a memory, at most."""
NEAR: Final = (1, 4, 6, 4, 1)
"""Weights of the neighbours of a position, down and across, in means of distances."""
LEAST_DEVIATION: Final = 0.1
"""Share of the mean deviation that is added to the deviation of each position."""
SEPARATION: Final = 0.75
"""Area under the ROC curve of drawn defects below which a reference allows no verdict."""
DRAWN: Final = 60
"""Defects that are drawn on good photos for this, at most."""
CONFIDENCE: Final = 0.95
APART: Final = 2.2
"""Photos show two different things if the gap between two groups of them is this many times as wide
as the next gap."""
LEAST_GAP: Final = 0.35
"""Least width of that gap, between unit vectors: of photos of one thing in a light that varies it
was .23 to .32, of two similar packages of milk .79."""
DEFAULT_RATE: Final = 0.05
"""False-alarm rate of a request that names none, and of evaluations."""
TINY: Final = 1e-6


class PieceVerdict(StrEnum):
    """Verdict on a piece."""

    LIKE = "LIKE"
    UNLIKE = "UNLIKE"
    CANNOT_SAY = "CANNOT_SAY"


class VerdictDoubt(StrEnum):
    """Reason why there is no verdict."""

    TOO_FEW_PHOTOS = "TOO_FEW_PHOTOS"
    PHOTOS_TOO_UNLIKE = "PHOTOS_TOO_UNLIKE"


@dataclass(frozen=True, slots=True)
class GivenPhoto:
    """A photo that a caller gives."""

    image: bytes = b""
    uri: str = ""
    """Its address, if `image` is empty."""
    of_shopper: bool = True
    """True: it has the limits of photos that are compared; False: of those that are kept."""
    priority: int = 0
    """Number of sightline.common.v1.Priority."""


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A photo as the model sees it, all of it in a padded square."""

    pixels: Pixels
    """uint8 RGB [side, side, 3]."""
    ratio: float
    """Width of the upright photo divided by its height."""


@dataclass(frozen=True, slots=True)
class PatchesSeen:
    """Features of photos."""

    patches: Floats
    """[n, h, w, c]"""
    heads: Floats
    """[n, d] of unit length: what each photo shows as a whole."""
    model: str
    """The model, with the version of its file and preprocessing."""


@dataclass(frozen=True, slots=True)
class PatchMemory:
    """Memory of photos of good pieces."""

    basis: Floats
    """[c, DIMENSIONS]: from features to components."""
    patches: Floats
    """[m, DIMENSIONS]: patches of good photos."""
    means: Floats
    """[h, w]: mean distance of good photos at each position."""
    deviations: Floats
    """[h, w]: standard deviation of the same, above 0."""
    scores: Floats
    """[n]: the highest standardised distance of each good photo, ascending."""
    separation: float
    """Area under the ROC curve of drawn defects, 0 to 1."""
    near: npt.NDArray[np.int64] = field(default_factory=lambda: np.ones(1, np.int64))
    """[k]: weights of neighbours in distances. Fits up to 0.44 did not average them."""

    @property
    def photos(self) -> int:
        """Number of good photos."""
        return len(self.scores)

    @property
    def unit(self) -> float:
        """Mean score of good photos, in which scores are stated."""
        return max(float(self.scores.mean()), TINY)

    def version(self, model: str, product_id: str) -> str:
        """Return the version of a reference with this memory: 16 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps([model, product_id]).encode())
        for array in (self.basis, self.patches, self.means, self.deviations, self.scores):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def map_of(self, features: Floats) -> Floats:
        """Return the standardised distances [..., h, w] of photos' patches, [..., h, w, c]."""
        found = distances_from(self.patches, features @ self.basis, self.near.tolist())
        return (found - self.means) / self.deviations


@dataclass(frozen=True, slots=True)
class PhotoScores:
    """Scores of photos by a memory that was made without them."""

    good: Floats
    """[n]: of good photos."""
    drawn: Floats
    """[m]: of photos with a drawn defect."""


@dataclass(frozen=True, slots=True)
class AnomalousPart:
    """A rectangle of a photo that is unlike the good photos."""

    box: PhotoArea
    score: float


@dataclass(frozen=True, slots=True)
class PieceComparison:
    """Comparison of a photo with a reference. Scores are in units of the mean of good photos."""

    verdict: PieceVerdict
    doubt: VerdictDoubt | None
    score: float
    threshold: float | None
    """Score above which a piece is unlike; None: the reference has too few photos."""
    threshold_low: float | None
    threshold_high: float | None
    """Interval of the threshold of endlessly many good photos; None: not determined."""
    p_value: float
    least_rate: float
    """Least false-alarm rate that the reference allows a verdict for."""
    parts: tuple[AnomalousPart, ...]


def basis_of(features: Floats, seed: int = 0) -> Floats:
    """Return the map from features to components, [c, DIMENSIONS]: standardised by these photos,
    [n, h, w, c], then projected at random."""
    rows = features.reshape(-1, features.shape[-1])
    scales = np.maximum(rows[:: max(len(rows) // MOST_SAMPLED, 1)].std(axis=0), TINY)
    random = np.random.default_rng(seed).normal(size=(len(scales), DIMENSIONS))
    random /= math.sqrt(DIMENSIONS * len(scales))
    return np.asarray(random / scales[:, None], np.float32)


def fit(
    good: Floats, drawn: Floats, drawn_on: Sequence[int], basis: Floats, seed: int = 0
) -> tuple[PatchMemory, PhotoScores]:
    """Fit a memory on the components of good photos, [n, h, w, DIMENSIONS], made by a basis. Return
    it with the scores of all photos, each while the good one is left out.

    `drawn`: components of photos with a drawn defect, [m, h, w, DIMENSIONS]; `drawn_on`: the photo
    that each of them was. Deterministic: the same photos in the same order give the same memory.

    The memory is that of the last fold, without its photos, so that new photos are scored by one
    that is made as those by which the good photos were scored. With a memory of all photos, 22% of
    good pieces were called unlike where 20% were asked for (made features, 60 references).
    """
    rng, on = np.random.default_rng(seed), np.asarray(drawn_on, np.int64)
    fold_of = np.arange(len(good)) % min(len(good), FOLDS)
    distances = np.empty(good.shape[:3], np.float32)
    of_drawn = np.empty(drawn.shape[:3], np.float32)
    memory = good[:0]
    for fold in range(int(fold_of.max()) + 1):
        left_out = fold_of == fold
        memory = coreset(good, np.flatnonzero(~left_out), rng)
        distances[left_out] = distances_from(memory, good[left_out], NEAR)
        of_drawn[left_out[on]] = distances_from(memory, drawn[left_out[on]], NEAR)
    places = _Places(distances)
    scores = np.array([places.score(each, at) for at, each in enumerate(distances)], np.float32)
    of_bad = [places.score(each, at) for each, at in zip(of_drawn, on, strict=True)]
    found = PhotoScores(scores, np.array(of_bad, np.float32))
    means, deviations = places.moments()
    made = PatchMemory(
        basis=basis,
        patches=memory,
        means=means,
        deviations=deviations,
        scores=np.sort(scores),
        separation=separation(found.good, found.drawn),
        near=np.array(NEAR),
    )
    return made, found


def compare(memory: PatchMemory, distances: Floats, rate: float, ratio: float) -> PieceComparison:
    """Compare a photo's standardised distances [h, w] with a reference, at a false-alarm rate.
    `ratio`: width of the photo divided by its height."""
    unit, scores = memory.unit, memory.scores
    score = float(distances.max())
    p_value = (1 + int((scores >= score).sum())) / (len(scores) + 1)
    threshold, low, high = thresholds(scores, rate)
    doubt = None
    if threshold is None:
        doubt = VerdictDoubt.TOO_FEW_PHOTOS
    elif memory.separation < SEPARATION:
        doubt = VerdictDoubt.PHOTOS_TOO_UNLIKE
    unlike = threshold is not None and score > threshold
    verdict = PieceVerdict.UNLIKE if unlike else PieceVerdict.LIKE
    parts: tuple[AnomalousPart, ...] = ()
    if doubt is not None:
        verdict = PieceVerdict.CANNOT_SAY
    elif threshold is not None and unlike:
        parts = tuple(_parts(distances / unit, threshold / unit, ratio))
    return PieceComparison(
        verdict=verdict,
        doubt=doubt,
        score=score / unit,
        threshold=None if threshold is None else threshold / unit,
        threshold_low=None if low is None else low / unit,
        threshold_high=None if high is None else high / unit,
        p_value=p_value,
        least_rate=least_rate(len(scores)),
        parts=parts,
    )


def least_rate(photos: int) -> float:
    """Return the least false-alarm rate that this many good photos allow a verdict for."""
    return 1 / (photos + 1)


def thresholds(scores: Floats, rate: float) -> tuple[float | None, float | None, float | None]:
    """Return the score that at most `rate` of good pieces exceed, and the interval of the score
    that exactly `rate` of them exceed, by the order of the ascending scores alone (of the binomial
    distribution). None: not determined by so few scores."""
    count = len(scores)
    allowed = math.floor(rate * (count + 1) + 1e-9)
    if allowed < 1:
        return None, None, None
    below = _binomial(count, 1 - rate)
    tail = (1 - CONFIDENCE) / 2
    lows = [at for at in range(1, count + 1) if below[at - 1] <= tail]
    highs = [at for at in range(1, count + 1) if 1 - below[at - 1] <= tail]
    return (
        float(scores[count - allowed]),
        float(scores[lows[-1] - 1]) if lows else None,
        float(scores[highs[0] - 1]) if highs else None,
    )


def groups(vectors: Floats) -> tuple[int, int] | None:
    """Return the sizes of two groups if photos show two different things; None if they do not.
    `vectors`: [n, d] of unit length.

    Of the shortest tree that joins all photos, the longest edge is then APART times as long as the
    next one: photos of one thing differ by light and place, without a gap.
    """
    edges = sorted(_tree(vectors), reverse=True)
    (longest, first, _), *rest = edges
    if not rest or longest <= max(APART * rest[0][0], LEAST_GAP):
        return None
    group, edge = {first}, [first]
    beside = [(one, other) for _, one, other in rest]
    while edge:
        at = edge.pop()
        found = {other if one == at else one for one, other in beside if at in (one, other)} - group
        group |= found
        edge += found
    return len(group), len(vectors) - len(group)


def with_defect(pixels: Pixels, seed: int) -> Pixels:
    """Return a photo with a drawn defect: a part of it moved to another place, with other colours
    (CutPaste, C.-L. Li et al., CVPR 2021). `pixels`: uint8 RGB [side, side, 3]."""
    rng = np.random.default_rng(seed)
    side = len(pixels)
    height, width = (int(side * share) for share in rng.uniform(0.08, 0.16, 2))
    from_ = [int(rng.integers(0, side - size)) for size in (height, width)]
    to = [int(rng.integers(side // 4, side * 3 // 4 - size)) for size in (height, width)]
    part = pixels[from_[0] : from_[0] + height, from_[1] : from_[1] + width].astype(np.float32)
    changed = part * rng.uniform(0.7, 1.2, 3) + rng.uniform(-30, 30, 3)
    found = pixels.copy()
    found[to[0] : to[0] + height, to[1] : to[1] + width] = np.clip(changed, 0, 255)
    return found


def separation(good: Floats, bad: Floats) -> float:
    """Return the probability that a score of `bad` is above one of `good`, ties counted half."""
    return float(wins(good, bad).mean()) if len(bad) else 0.0


def wins(good: Floats, bad: Floats) -> Floats:
    """Return for each pair, [m, n], 1 if the score of `bad` is above that of `good`, 0.5 if they
    are equal, 0 otherwise."""
    above = (bad[:, None] > good) + (bad[:, None] == good) / 2
    return np.asarray(above, np.float32)


def coreset(photos: Floats, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return patches that represent those of the chosen photos, of [n, h, w, d]: each next one is
    the farthest from those before."""
    each = photos.shape[1] * photos.shape[2]
    count = min(len(chosen) * each, MOST_SAMPLED)
    picked = np.sort(rng.choice(len(chosen) * each, count, replace=False))
    places = chosen[picked // each] * each + picked % each
    rows: Floats = photos.reshape(-1, photos.shape[-1])[places]
    if len(rows) <= MOST_PATCHES:
        return rows
    squares = np.einsum("ij,ij->i", rows, rows)
    least = np.full(len(rows), np.inf, np.float32)
    kept, at = [], int(rng.integers(len(rows)))
    for _ in range(MOST_PATCHES):
        kept.append(at)
        np.minimum(least, squares - 2 * (rows @ rows[at]) + squares[at], out=least)
        at = int(least.argmax())
    return np.asarray(rows[kept])


def distances_from(memory: Floats, components: Floats, near: Sequence[int]) -> Floats:
    """Return the distances of photos' patches, [..., h, w, d], to the nearest ones of a memory
    [m, d], averaged over neighbours by these weights: [..., h, w]."""
    found = nearest(components, memory)
    return smooth(found.reshape(-1, *found.shape[-2:], 1), near).reshape(found.shape)


def nearest(rows: Floats, memory: Floats) -> Floats:
    """Return the distance of each patch [..., d] to the nearest one of a memory [m, d]."""
    flat = rows.reshape(-1, rows.shape[-1])
    squares, found = np.einsum("ij,ij->i", memory, memory), np.empty(len(flat), np.float32)
    for start in range(0, len(flat), 4096):
        part = flat[start : start + 4096]
        least = (squares - 2 * (part @ memory.T)).min(axis=1)
        found[start : start + 4096] = least + np.einsum("ij,ij->i", part, part)
    return np.sqrt(np.maximum(found, 0)).reshape(rows.shape[:-1])


def _tree(vectors: Floats) -> Iterator[tuple[float, int, int]]:
    """Yield the edges of the shortest tree that joins all rows: length, and the two rows (R. C.
    Prim, Bell System Technical Journal 36, 1957)."""
    count = len(vectors)
    outside, near = np.ones(count, bool), np.zeros(count, int)
    length, at = np.full(count, np.inf), 0
    for _ in range(count - 1):
        outside[at] = False
        to = np.linalg.norm(vectors - vectors[at], axis=1)
        closer = to < length
        length, near = np.where(closer, to, length), np.where(closer, at, near)
        at = int(np.where(outside, length, np.inf).argmin())
        yield float(length[at]), int(near[at]), at


class _Places:
    """Mean and deviation of the distances of good photos [n, h, w] at each position."""

    def __init__(self, distances: Floats) -> None:
        self._distances = distances.astype(np.float64)
        self._sum, self._squares = self._distances.sum(0), (self._distances**2).sum(0)

    def moments(self, without: int | None = None) -> tuple[Floats, Floats]:
        """Return means and deviations [h, w], without those of one photo."""
        count, total, squares = len(self._distances), self._sum, self._squares
        if without is not None:
            one = self._distances[without]
            count, total, squares = count - 1, total - one, squares - one**2
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0)
        means, variances = (smooth(each[None, ..., None], NEAR) for each in (mean, variance))
        deviations = np.sqrt(variances[0, ..., 0])
        deviations = deviations + LEAST_DEVIATION * deviations.mean() + TINY
        return means[0, ..., 0].astype(np.float32), deviations.astype(np.float32)

    def score(self, distances: Floats, without: int) -> float:
        """Return the score of distances [h, w] by the other photos than one."""
        means, deviations = self.moments(without)
        return float(((distances - means) / deviations).max())


def _binomial(count: int, probability: float) -> list[float]:
    """Return the probability of at most 0, 1, … `count` successes of `count` trials."""
    total, found = 0.0, []
    for hits in range(count + 1):
        log = (
            math.lgamma(count + 1)
            - math.lgamma(hits + 1)
            - math.lgamma(count - hits + 1)
            + hits * math.log(probability)
            + (count - hits) * math.log1p(-probability)
        )
        total += math.exp(log)
        found.append(total)
    return found


def _parts(scores: Floats, threshold: float, ratio: float) -> Iterator[AnomalousPart]:
    """Yield the connected parts of a map whose scores are above a threshold, the highest first."""
    height, width = scores.shape
    left = {(int(row), int(column)) for row, column in np.argwhere(scores > threshold)}
    found = []
    while left:
        edge, cells = [left.pop()], []
        while edge:
            row, column = edge.pop()
            cells.append((row, column))
            around = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
            edge += around & left
            left -= around
        rows, columns = zip(*cells, strict=True)
        square = PhotoArea(
            min(columns) / width,
            min(rows) / height,
            (max(columns) + 1) / width,
            (max(rows) + 1) / height,
        )
        found.append((max(float(scores[cell]) for cell in cells), square))
    for score, square in sorted(found, key=lambda each: -each[0]):
        box = in_photo(square, ratio)
        if box is not None:
            yield AnomalousPart(box, score)


def in_photo(box: PhotoArea, ratio: float) -> PhotoArea | None:
    """Return the part of a photo that a box of its padded square covers; None: only padding.
    `ratio`: width of the photo divided by its height."""
    wide, high = min(ratio, 1.0), min(1 / ratio, 1.0)

    def place(value: float, share: float) -> float:
        return min(max((value - (1 - share) / 2) / share, 0.0), 1.0)

    sides = PhotoArea(
        place(box.left, wide), place(box.top, high), place(box.right, wide), place(box.bottom, high)
    )
    return sides if sides.left < sides.right and sides.top < sides.bottom else None
