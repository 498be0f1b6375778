"""Precision and recall of the rule for category mismatches.

The product's own rule classifies photos by heads that were not fitted on them: those of the bench
`accuracy`. Each phone photo stands for a product with one photo. It is tested under its own
category and under WRONG others, drawn by the seed with equal probability; the precision assumes
that one category in twenty is wrong. One more head was fitted on that many wrong categories, as in
such a catalog.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.model import BenchTable, Interval
from embedder.domain.fitted import SHOPPER, FittedSpace, Floats, Labelled
from embedder.embedding.classify import classification
from embedder.fitting import folds
from embedder.fitting.cluster_bootstrap import ends, resampled
from embedder.fitting.components import Rows
from embedder.servicer.embedding import GUESSES
from retriever.domain.category_mismatch import (
    LIMITS,
    CategoryGuess,
    CategoryPath,
    Classification,
    Limits,
    category_mismatch,
)

Doubles: TypeAlias = npt.NDArray[np.float64]
Fits: TypeAlias = Sequence[tuple[Rows, FittedSpace]]
"""The photos that each head was fitted on."""

WRONG_SHARE: Final = 0.05
"""Fraction of the products that are in a wrong category."""
WRONG: Final = 4
"""Number of wrong categories under which each photo is tested."""
BEFORE: Final = Limits(0.05, 0.8, 0.9)
"""Limits that were chosen before any measurement."""
TRIED: Final = (
    LIMITS,
    *(Limits(own, 0.6, 0.9) for own in (0.005, 0.01, 0.05, 0.1)),
    *(Limits(0.02, other, 0.9) for other in (0.4, 0.5, 0.7, 0.8)),
    Limits(0.02, 0.6, 0.5),
    BEFORE,
)
"""The limits in use, others around them, and finally those in use before."""
SEEN: Final = "products that the head learned from"
MISLED: Final = "products that the head learned from, one in twenty in a wrong category"
STRANGE: Final = "products that it never saw, of categories that it knows"
STRANGERS: Final = "categories that it never saw"
LEARNED: Final = "photos that the head learned from in the wrong category"
VAL: Final = "val"
FEWER: Final[Mapping[str, Sequence[Limits]]] = {STRANGE: (LIMITS, BEFORE), VAL: (LIMITS,)}
"""Limits that are measured on data on which no limits were chosen."""
CAPTION: Final = (
    f"One category in {1 / WRONG_SHARE:.0f} is wrong, all others equally likely; four views. "
    "95% intervals by the bootstrap over scenes (products where the head saw no photo of them; "
    "photos on val); they do not cover events that never occurred. Nothing was chosen on val."
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A photo's classification by a head that was not fitted on it."""

    own: CategoryPath
    wrong: tuple[CategoryPath, ...]
    """Probabilities of other categories that the head knows."""
    said: Classification
    unknown: bool
    """True if the photo is classified as unknown."""
    known: frozenset[CategoryPath]
    scene: str
    product: str


@dataclass(frozen=True, slots=True)
class Worth:
    """Figures of one pair of limits, with 95% intervals."""

    limits: Limits
    precision: Interval | None
    """Fraction of the flags that are right; None if there are no flags."""
    recall: Interval
    """Fraction of the products in wrong categories that are flagged."""
    false: Interval
    """Flagged products of 1,000 in right categories."""


def judged(fitted: FittedSpace, data: Labelled, rows: Rows, views: int, seed: int) -> list[Judged]:
    """Classify photos as an import does: probabilities averaged over views."""
    head = fitted.head
    if head is None or not len(rows):
        return []
    names, known = tuple(head.categories), frozenset(head.categories)
    draw = np.random.default_rng(seed)
    found = []
    for row, chances in zip(rows, _chances(fitted, data, rows, views), strict=True):
        own = data.categories[row]
        others = [name for name in names if name != own]
        answer = classification(chances, names, GUESSES, "")
        guesses = tuple(CategoryGuess(each.path, each.probability) for each in answer.guesses)
        found.append(
            Judged(
                own=own,
                wrong=tuple(others[place] for place in draw.integers(0, len(others), WRONG)),
                said=Classification(guesses, answer.unknown_probability),
                unknown=answer.unknown,
                known=known,
                scene=data.groups[row],
                product=data.products[row],
            )
        )
    return found


def _chances(fitted: FittedSpace, data: Labelled, rows: Rows, views: int) -> Floats:
    """Return [m, C + 1]."""
    assert fitted.head is not None
    features = data.features[rows, :views]
    count, width = features.shape[1:]
    kinds = np.repeat(data.kinds[rows], count)
    vectors = fitted.embed(features.reshape(-1, width), kinds)
    chances = fitted.head.chances(vectors)
    return np.asarray(chances.reshape(len(rows), count, -1).mean(axis=1), np.float32)


def crossed(data: Labelled, fits: Fits, views: int, seed: int) -> dict[str, list[Judged]]:
    """Classify shoppers' photos by heads that were not fitted on them."""
    found: dict[str, list[Judged]] = {SEEN: [], STRANGE: [], STRANGERS: []}
    products = folds.numbered(data.products)
    for rows, fitted in fits:
        held = np.flatnonzero(data.kinds == SHOPPER)
        held = held[~np.isin(held, rows)]
        learned = set(products[rows].tolist())
        photos = judged(fitted, data, held, views, seed)
        for row, photo in zip(held, photos, strict=bool(photos)):
            if photo.own not in photo.known:
                found[STRANGERS].append(photo)
            else:
                found[SEEN if products[row] in learned else STRANGE].append(photo)
    return found


def misplaced(data: Labelled, seed: int) -> tuple[Labelled, Rows]:
    """Put WRONG_SHARE of shoppers' photos into other categories; return which, too."""
    draw = np.random.default_rng(seed)
    shoppers = np.flatnonzero(data.kinds == SHOPPER)
    count = round(WRONG_SHARE * len(shoppers))
    rows = np.sort(draw.choice(shoppers, count, replace=False))
    names, given = sorted(set(data.categories)), list(data.categories)
    for row in rows:
        others = [name for name in names if name != data.categories[row]]
        given[row] = others[draw.integers(len(others))]
    return replace(data, categories=given), rows


def learned(
    fitted: FittedSpace, data: Labelled, given: Labelled, rows: Rows, views: int
) -> list[Judged]:
    """Classify photos by a head that learned from them in the `given` categories."""
    photos = judged(fitted, data, rows, views, 0)
    return [
        replace(photo, wrong=(given.categories[row],))
        for row, photo in zip(rows, photos, strict=bool(photos))
    ]


def flags(photos: Sequence[Judged], limits: Limits) -> Doubles:
    """Return [n, 2]: whether a photo is flagged under its own category, and how often under
    wrong ones."""

    def flagged(photo: Judged, category: CategoryPath) -> bool:
        return (
            category_mismatch(category, photo.said, photo.known, "", "", limits=limits) is not None
        )

    return np.array(
        [
            (flagged(photo, photo.own), np.mean([flagged(photo, each) for each in photo.wrong]))
            for photo in photos
        ],
        float,
    )


def worth(
    photos: Sequence[Judged], clusters: Sequence[str], tried: Sequence[Limits], seed: int
) -> list[Worth]:
    """Measure limits on the same photos. Photos of one cluster are dependent."""
    columns = np.concatenate([flags(photos, limits) for limits in tried], axis=1)
    drawn = resampled(columns, folds.numbered(clusters), seed)
    means = columns.mean(axis=0)
    return [
        Worth(limits, *_figures(means[place : place + 2], drawn[:, place : place + 2]))
        for limits, place in zip(tried, range(0, len(means), 2), strict=True)
    ]


def _figures(means: Doubles, drawn: Doubles) -> tuple[Interval | None, Interval, Interval]:
    exact = None
    if means.any():
        some = drawn[drawn.any(axis=1)]
        exact = _interval(float(precision(*means)), precision(some[:, 0], some[:, 1]))
    false, recall = (_interval(float(means[place]), drawn[:, place]) for place in (0, 1))
    return exact, recall, Interval(1000 * false.value, 1000 * false.low, 1000 * false.high)


def precision(false: Doubles, recall: Doubles) -> Doubles:
    """Return the fraction of the flags that are right, given the flagged fractions of right and of
    wrong categories.
    """
    right = WRONG_SHARE * recall
    return np.asarray(right / (right + (1 - WRONG_SHARE) * false))


def _interval(value: float, drawn: Doubles) -> Interval:
    low, high = ends(drawn)
    return Interval(value, float(low), float(high))


# The report


def tables(found: Mapping[str, Sequence[Judged]], seed: int) -> tuple[BenchTable, ...]:
    """Return the tables of limits and of photos classified as unknown."""
    rows: list[tuple[str, ...]] = []
    for name, photos in found.items():
        if photos and name not in (STRANGERS, LEARNED):
            tried = FEWER.get(name, TRIED)
            rows += [
                _row(name, each) for each in worth(photos, _clusters(name, photos), tried, seed)
            ]
    unknown = [_unknown(name, photos, seed) for name, photos in found.items() if photos]
    flagged = BenchTable(
        title="Photos that contradict a category",
        headers=(
            *("photos", "own, at most", "other, at least", "unknown, at least"),
            *("flags that are right", "wrong ones flagged", "flags per 1,000 right ones"),
        ),
        rows=tuple(rows),
        caption=CAPTION,
    )
    unseen = BenchTable(
        title="Photos classified as unknown",
        headers=("photos", "classified unknown", "flagged under a wrong category", "number"),
        rows=tuple(unknown),
        caption='Unknown: "none of the head\'s categories" has the highest probability.',
    )
    return tuple(table for table in (flagged, unseen) if table.rows)


def _clusters(name: str, photos: Sequence[Judged]) -> list[str]:
    """Return each photo's cluster: its scene, or its product if the head saw no photo of it."""
    whole = name in (STRANGE, STRANGERS)
    return [photo.product if whole else photo.scene for photo in photos]


def _row(name: str, found: Worth) -> tuple[str, ...]:
    limits = found.limits
    return (
        name,
        f"{limits.own_at_most:g}{' (in use)' if limits == LIMITS else ''}",
        f"{limits.other_at_least:g}",
        f"{limits.unknown_at_least:g}",
        "no flags" if found.precision is None else _cell(found.precision),
        _cell(found.recall),
        _cell(found.false, 1),
    )


def _unknown(name: str, photos: Sequence[Judged], seed: int) -> tuple[str, ...]:
    columns = np.array([photo.unknown for photo in photos], float)[:, None]
    columns = np.concatenate([columns, flags(photos, LIMITS)[:, 1:]], axis=1)
    drawn = resampled(columns, folds.numbered(_clusters(name, photos)), seed)
    cells = [_cell(_interval(float(columns[:, place].mean()), drawn[:, place])) for place in (0, 1)]
    return name, *cells, f"{len(photos):,}"


def _cell(found: Interval, digits: int = 3) -> str:
    value, low, high = (f"{each:.{digits}f}" for each in (found.value, found.low, found.high))
    return f"{value} ({low}-{high})"
