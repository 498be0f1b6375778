"""Accuracy of a fitted space: the embedder's own fit on public photos.

Groceries: cross-validation on the train part, with occasions kept together; then the map of the
whole train part on the val part, on which nothing was chosen. Clothing: cross-validation of its ten
categories. Compared with the space that the embedder serves without a fit: Lite0's unit vectors.
The test part of the groceries is not in the folder: goals on it are NOT MEASURED, and give the
figures of cross-validation and val instead.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.model import BenchResult, BenchTable
from embedder.domain.fitted import (
    CATALOGUE,
    SHOPPER,
    FittedSpace,
    Floats,
    Labelled,
    SpaceEvaluation,
    SpaceFigure,
)
from embedder.fitting.components import Rows
from embedder.fitting.evaluate_space import evaluate
from embedder.fitting.fit import FitOptions, fit, fit_rows
from embedder.fitting.folds import numbered
from embedder.fitting.measuring import (
    CATEGORY,
    HIT,
    NEAREST,
    PRECISION,
    QueryScores,
    Views,
    nearest_mean,
    vectors,
)
from embedder.fitting.nearest_photos import average_precisions, hits
from embedder.fitting.occasions import by_occasion
from lab.cases import doubts
from lab.cases.accuracy_report import (
    BACKBONE,
    CLOTHING,
    CLOTHING_EVERY,
    FOUR,
    INTEGERS,
    OFF_THE_SHELF,
    ONE,
    SEED,
    VAL_FOUR,
    VAL_ONE,
    AccuracyFigures,
    goals,
    plain_figures,
    tables_of,
)
from lab.datasets import featured, grocery
from lab.datasets.grocery import Grocery, GroceryPhotos

Say: TypeAlias = Callable[[str], None]
JUDGE = "efficientnet_lite1_features"
"""Model that groups queries by scene for intervals; it is not measured itself."""
VIEWS = 4


def run(say: Say) -> BenchResult:
    """Measure the photo sets that are present, in four minutes."""
    found, warnings = AccuracyFigures({}, {}), []
    folder = grocery.find()
    if folder is None:
        warnings.append(f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there")
    else:
        _groceries(grocery.load(folder), found, say)
    clothes = _clothing()
    if clothes:
        found.clothing = _clothes(clothes, say)
    else:
        warnings.append(f"NOT MEASURED: $SIGHTLINE_DATA/{CLOTHING} is not there")
    return BenchResult(tables_of(found), plain_figures(found), goals(found), tuple(warnings))


# Groceries


def _groceries(data: Grocery, found: AccuracyFigures, say: Say) -> None:
    say("groceries: features of the train part and of the iconic photos")
    train = _features(BACKBONE, data.train, VIEWS)
    iconic = _features(BACKBONE, data.iconic, VIEWS)
    plain = _off_the_shelf(data.train), _off_the_shelf(data.iconic)
    labelled = labelled_photos(data, train, iconic)
    learn = Once()
    for name, count in ((ONE, 1), (FOUR, VIEWS)):
        say(f"groceries: cross-validation, {name} a query")
        found.crossed[name] = evaluate(
            labelled,
            FitOptions(),
            np.concatenate(plain),
            OFF_THE_SHELF,
            seed=SEED,
            views=Views(count, VIEWS),
            learn=learn,
        )
    say("groceries: the map of the whole train part, on val")
    fitted = fit(labelled, FitOptions(), SEED)
    found.dimension = fitted.projection.shape[1]
    asked = _asked(data, _features(BACKBONE, data.validation, VIEWS))
    found.val = _validated(data, fitted, labelled, asked, plain[0])
    if featured.there(INTEGERS):
        say("groceries: the pretrained network in 8-bit integers")
        found.integers = _in_integers(data, plain[0])
    say("groceries: doubts")
    found.doubts = _doubts(labelled, learn.fits, fitted, asked)


def _validated(
    data: Grocery, fitted: FittedSpace, labelled: Labelled, asked: Labelled, plain: Floats
) -> dict[str, tuple[SpaceFigure, ...]]:
    """Compare the val part in the fitted space with the pretrained network's vectors.

    `plain`: those of the train part.
    """
    found, before = {}, _off_the_shelf(data.validation)
    every, shown = np.arange(len(asked.products)), np.arange(len(data.train.products))
    for name, count in ((VAL_ONE, 1), (VAL_FOUR, VIEWS)):
        ours = vectors(fitted, asked, every, count), vectors(fitted, labelled, shown, VIEWS)
        guessed = None
        if fitted.head is not None:
            guessed = fitted.head.chances(ours[0])[:, :-1].argmax(axis=1)
            guessed = np.array(fitted.head.categories)[guessed, 0]
        found[name] = _compared(data, ours, (before, plain), guessed)
    return found


def _in_integers(data: Grocery, plain: Floats) -> tuple[SpaceFigure, ...]:
    """Compare the val part by vectors of 8-bit integers with float32.

    `plain`: the train part's float32.
    """
    asked, shown = (
        _features(INTEGERS, photos, 1)[:, 0] for photos in (data.validation, data.train)
    )
    return _compared(data, (asked, shown), (_off_the_shelf(data.validation), plain), None)


def _doubts(
    labelled: Labelled, fits: doubts.Fits, fitted: FittedSpace, asked: Labelled
) -> tuple[BenchTable, ...]:
    """Measure the category-mismatch rule on wrong categories, with the existing heads and with one
    that learned from wrong categories in the first fold.
    """
    found = doubts.crossed(labelled, fits, VIEWS, SEED)
    given, wrong = doubts.misplaced(labelled, SEED)
    rows = fits[0][0]
    misled = fit_rows(given, rows, FitOptions(), SEED, texts=False)
    found[doubts.MISLED] = doubts.crossed(labelled, [(rows, misled)], VIEWS, SEED)[doubts.SEEN]
    wrong = wrong[np.isin(wrong, rows)]
    found[doubts.LEARNED] = doubts.learned(misled, labelled, given, wrong, VIEWS)
    every = np.arange(len(asked.products))
    found[doubts.VAL] = doubts.judged(fitted, asked, every, VIEWS, SEED)
    return doubts.tables(found, SEED)


class Once:
    """Fits each part of the photos once, for queries of one view and of several."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bool], tuple[Rows, FittedSpace]] = {}

    @property
    def fits(self) -> list[tuple[Rows, FittedSpace]]:
        """The rows of each part, and the map fitted on them."""
        return list(self._known.values())

    def __call__(
        self, data: Labelled, rows: Rows, options: FitOptions, seed: int, *, texts: bool = True
    ) -> FittedSpace:
        """Fit as `fit_rows` does."""
        key = rows.tobytes(), texts
        if key not in self._known:
            self._known[key] = rows, fit_rows(data, rows, options, seed, texts=texts)
        return self._known[key][1]


def _features(name: str, photos: GroceryPhotos, views: int) -> Floats:
    model = featured.backbone(name)
    return featured.features(model, photos.paths, model.recipe, views)


def _off_the_shelf(photos: GroceryPhotos) -> Floats:
    """Return the unit vectors [n, 1280] of the first views that the embedder serves unfitted."""
    return featured.heads(featured.backbone(OFF_THE_SHELF), photos.paths)


def labelled_photos(data: Grocery, train: Floats, iconic: Floats) -> Labelled:
    """Label the train part as shoppers' photos, with those of one occasion in one group, and one
    photo a product as the catalog's."""
    products = np.concatenate([data.train.products, data.iconic.products])
    return by_occasion(
        Labelled(
            features=np.concatenate([train, iconic]),
            kinds=np.repeat(np.array([SHOPPER, CATALOGUE], np.int8), [len(train), len(iconic)]),
            products=[str(product) for product in products],
            groups=[str(photo) for photo in range(len(products))],
            categories=[(data.categories[product],) for product in products],
        )
    )


def _asked(data: Grocery, features: Floats) -> Labelled:
    products = data.validation.products
    return Labelled(
        features=features,
        kinds=np.full(len(products), SHOPPER, np.int8),
        products=[str(product) for product in products],
        groups=[str(place) for place in range(len(products))],
        categories=[(data.categories[product],) for product in products],
    )


def _compared(
    data: Grocery,
    ours: tuple[Floats, Floats],
    before: tuple[Floats, Floats],
    guessed: npt.NDArray[np.str_] | None,
) -> tuple[SpaceFigure, ...]:
    """Compare queries and photos in both spaces, paired by query."""
    wanted, shown = data.validation.products, data.train.products
    columns: dict[str, list[npt.NDArray[Any]]] = {
        NEAREST: [hits(*_pair(each, wanted, shown), 1) for each in (ours, before)],
        HIT: [hits(*_pair(each, wanted, shown), 5) for each in (ours, before)],
        PRECISION: [average_precisions(*_pair(each, wanted, shown)) for each in (ours, before)],
    }
    if guessed is not None:
        truth = np.array([data.categories[product] for product in wanted])
        numbers = numbered([data.categories[product] for product in shown])
        names = list(dict.fromkeys(data.categories[product] for product in shown))
        nearest = np.array(names)[nearest_mean(before[0], before[1], numbers)]
        columns[CATEGORY] = [guessed == truth, nearest == truth]
    return tuple(figure_of(name, one, other) for name, (one, other) in columns.items())


def _pair(
    vectors: tuple[Floats, Floats], wanted: npt.NDArray[np.int64], shown: npt.NDArray[np.int64]
) -> tuple[Floats, npt.NDArray[np.int64], Floats, npt.NDArray[np.int64]]:
    return vectors[0], wanted, vectors[1][: len(shown)], shown


def figure_of(name: str, ours: npt.ArrayLike, before: npt.ArrayLike) -> SpaceFigure:
    tally = QueryScores()
    tally.add(ours, before, np.arange(len(np.asarray(ours))))
    return tally.figure(name, SEED)


# Clothing


def _clothing() -> list[Path]:
    """Return every second photo by name, or none when the folder is missing."""
    root = Path(os.environ.get("SIGHTLINE_DATA", "/nonexistent")) / CLOTHING
    return sorted(root.rglob("*.jpg"))[::CLOTHING_EVERY]


def _clothes(paths: Sequence[Path], say: Say) -> SpaceEvaluation:
    """Cross-validate with each category as one product: a hit is a photo of the same category."""
    say(f"clothing: features and cross-validation of {len(paths):,} photos")
    names = [path.parent.name for path in paths]
    photos = GroceryPhotos(paths, np.asarray(numbered(names), np.int64))
    labelled = by_occasion(
        Labelled(
            features=_features(BACKBONE, photos, 1),
            kinds=np.full(len(paths), SHOPPER, np.int8),
            products=names,
            groups=[str(path) for path in paths],
            categories=[(name,) for name in names],
        )
    )
    plain = _off_the_shelf(photos)
    return evaluate(
        labelled, FitOptions(), plain, OFF_THE_SHELF, seed=SEED, views=Views(1, 1), unseen=False
    )
