"""Product of a shopper's photo in a fitted space: by the number of views, and by the category that
the photo shows.

Cross-validation on the train part of the groceries, with occasions kept together. Unseen products
are measured by maps that learned from the other half of the products: alone, and in the catalog of
all products, as products that are newer than a fit. The paper's test part is not in the folder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.model import BenchResult, BenchTable, Goal, Interval, chosen_here
from embedder.domain.fitted import CATALOGUE, CategoryHead, FittedSpace, Floats, Labelled
from embedder.fitting import folds
from embedder.fitting.cluster_bootstrap import intervals
from embedder.fitting.fit import FitOptions, fit_rows
from embedder.fitting.measuring import FOLDS, HALVES, vectors
from gateway.retrieval.category_fit import LEAST
from lab.cases.accuracy import VIEWS, labelled_photos
from lab.cases.accuracy_report import BACKBONE, SEED
from lab.cases.no_good_match import best_of
from lab.datasets import featured, grocery

Say: TypeAlias = Callable[[str], None]
Doubles: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

WEIGHT: Final = 0.02
"""Weight of the category; lab/research/photos.md has others."""
TOP: Final = 5
COUNTS: Final = (1, 2, VIEWS)
NEAREST, CATEGORY, STUDIO, STUDIO_TOP = "1-NN", "category", "studio, hit@1", "studio, hit@5"
UNSEEN: Final = "1-NN, unseen products alone"
NEWER: Final = "1-NN, products newer than the fit"
SEEN: Final = (NEAREST, CATEGORY, STUDIO, STUDIO_TOP)
FIGURES: Final = (*SEEN, UNSEEN, NEWER)
Setting: TypeAlias = tuple[int, float]
"""Number of views, and weight of the category."""
SETTINGS: Final = tuple((count, weight) for count in COUNTS for weight in (0.0, WEIGHT))
PLAIN: Final[Setting] = (1, 0.0)
GOALS: Final[Sequence[tuple[str, Setting, float]]] = (
    (NEAREST, (1, 0.0), 0.84),
    (NEAREST, (VIEWS, WEIGHT), 0.875),
    (CATEGORY, (1, 0.0), 0.935),
    (STUDIO, (VIEWS, WEIGHT), 0.81),
    (STUDIO_TOP, (VIEWS, WEIGHT), 0.99),
    (UNSEEN, (1, 0.0), 0.87),
    (UNSEEN, (VIEWS, 0.0), 0.88),
)
VALIDATION: Final[Mapping[tuple[str, Setting], str]] = {
    (NEAREST, (1, 0.0)): "on validation photos 0.814",
    (NEAREST, (VIEWS, WEIGHT)): "on validation photos 0.831",
    (STUDIO, (VIEWS, WEIGHT)): "on validation photos 0.814, without the category",
}
"""Figures on photos of other visits, which took no part in the choice of the fit's settings, as
measured once in 2026-11; the others have none."""


@dataclass(slots=True)
class PhotoHits:
    """Hits by setting and figure, and the clusters of the queries by figure."""

    hits: dict[tuple[Setting, str], list[Doubles]] = field(default_factory=dict)
    clusters: dict[str, list[Integers]] = field(default_factory=dict)

    def add(self, setting: Setting, figure: str, right: npt.ArrayLike, clusters: Integers) -> None:
        """Add which queries were right, 0 or 1 [n]."""
        self.hits.setdefault((setting, figure), []).append(np.asarray(right, float))
        if setting == PLAIN:
            self.clusters.setdefault(figure, []).append(clusters)

    def figure(self, setting: Setting, name: str) -> tuple[Interval, Interval]:
        """Return the share of right queries, and its gain over one view without the category."""
        now, before = (np.concatenate(self.hits[each, name]) for each in (setting, PLAIN))
        columns = np.stack([now, now - before], axis=1)
        (low, less), (high, more) = intervals(columns, np.concatenate(self.clusters[name]), SEED)
        gain = Interval(float((now - before).mean()), float(less), float(more))
        return Interval(float(now.mean()), float(low), float(high)), gain


def run(say: Say) -> BenchResult:
    """Measure in three minutes, if the data is present."""
    folder = grocery.find()
    if folder is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there"
        return BenchResult((), {}, goals=goals(None), warnings=(missing,))
    data, model = grocery.load(folder), featured.backbone(BACKBONE)
    say("groceries: features of four views")
    train, iconic = (
        featured.features(model, part.paths, model.recipe, VIEWS)
        for part in (data.train, data.iconic)
    )
    found = measured(labelled_photos(data, train, iconic), say)
    return BenchResult((table(found),), {"photo_search": _plain(found)}, goals=goals(found))


def measured(data: Labelled, say: Say) -> PhotoHits:
    """Search by every shopper's photo that is not in the map's training."""
    found = PhotoHits()
    products, groups = (
        np.asarray(folds.numbered(each), np.int64) for each in (data.products, data.groups)
    )
    fold_of = folds.dealt(groups, products, FOLDS, SEED)
    fold_of[data.kinds == CATALOGUE] = -1
    for fold in range(FOLDS):
        say(f"groceries: fold {fold + 1} of {FOLDS}")
        inside = np.flatnonzero(fold_of != fold)
        case = SearchCase(data, products, fit_rows(data, inside, FitOptions(), SEED, texts=False))
        _search(
            case,
            np.flatnonzero(fold_of == fold),
            inside,
            groups,
            found,
            figures=SEEN,
        )
    halves = np.random.default_rng(SEED).permutation(products.max() + 1) % HALVES
    for half in range(HALVES):
        say(f"groceries: half {half + 1} of the products")
        known = np.flatnonzero(halves[products] != half)
        case = SearchCase(data, products, fit_rows(data, known, FitOptions(), SEED, texts=False))
        for fold in range(FOLDS):
            mine = halves[products] == half
            asked = np.flatnonzero((fold_of == fold) & mine)
            for name, shown in ((UNSEEN, mine), (NEWER, np.ones(len(products), bool))):
                rows = np.flatnonzero((fold_of != fold) & shown)
                _search(case, asked, rows, products, found, figures=(name,))
    return found


@dataclass(frozen=True, slots=True)
class SearchCase:
    """A fitted space and the photos to search with and for."""

    data: Labelled
    products: Integers
    """[n], from 0 without gaps."""
    space: FittedSpace

    def category_fits(self, queries: Floats) -> Floats:
        """Return [q, products]: log probability of each product's category, as the gateway's
        retrieval/category_fit.py."""
        head, count = self.space.head, int(self.products.max()) + 1
        found = np.zeros((len(queries), count), np.float32)
        if head is None:
            return found
        chances = np.log(np.maximum(head.chances(queries)[:, :-1], LEAST))
        for product, place in self._places(head):
            found[:, product] = chances[:, place]
        return found

    def _places(self, head: CategoryHead) -> list[tuple[int, int]]:
        """Return products with the places of their categories in the head."""
        places = {path: place for place, path in enumerate(head.categories)}
        pairs = zip(self.products.tolist(), self.data.categories, strict=True)
        return [(product, places[path]) for product, path in pairs if path in places]


def _search(
    case: SearchCase,
    asked: npt.NDArray[np.intp],
    shown: npt.NDArray[np.intp],
    clusters: Integers,
    found: PhotoHits,
    *,
    figures: Sequence[str],
) -> None:
    """Add the hits of queries whose product is shown."""
    asked = asked[np.isin(case.products[asked], case.products[shown])]
    wanted, count = case.products[asked], int(case.products.max()) + 1
    numbers = folds.numbered(case.data.categories)
    kind = np.zeros(count, np.int64)
    kind[case.products] = numbers
    photos = vectors(case.space, case.data, shown, VIEWS)
    studio = case.data.kinds[shown] == CATALOGUE
    for views, weight in SETTINGS:
        queries = vectors(case.space, case.data, asked, views)
        fits = weight * case.category_fits(queries)
        cosines = queries @ photos.T
        first, only = (
            _first(best_of(cosines[:, some], case.products[shown][some], count) + fits)
            for some in (np.ones(len(shown), bool), studio)
        )
        right = {
            NEAREST: first[:, 0] == wanted,
            UNSEEN: first[:, 0] == wanted,
            NEWER: first[:, 0] == wanted,
            CATEGORY: kind[first[:, 0]] == kind[wanted],
            STUDIO: only[:, 0] == wanted,
            STUDIO_TOP: (only == wanted[:, None]).any(axis=1),
        }
        for name in figures:
            found.add((views, weight), name, right[name], clusters[asked])


def _first(worth: Floats) -> npt.NDArray[np.intp]:
    """Return the TOP products of each query, best first."""
    return np.argsort(-worth, axis=1, kind="stable")[:, :TOP]


# The report


def table(found: PhotoHits) -> BenchTable:
    """Return the table, a row for each setting."""
    return BenchTable(
        title="Products found by a shopper's photo",
        headers=("views", "weight of the category", *FIGURES),
        rows=tuple(
            (str(setting[0]), f"{setting[1]:g}", *(_cell(found, setting, name) for name in FIGURES))
            for setting in SETTINGS
        ),
        caption=(
            "Groceries by cross-validation; in brackets the paired gain over one view without the"
            " category, with its 95% interval by the bootstrap over occasions (unseen and"
            " newer products: over products). Two views: the wide and the narrow crop. Studio: only"
            " one catalog photo of each product is there to find."
        ),
    )


def _cell(found: PhotoHits, setting: Setting, name: str) -> str:
    value, gain = found.figure(setting, name)
    if setting == PLAIN:
        return f"{value.value:.3f} ({value.low:.3f}-{value.high:.3f})"
    return f"{value.value:.3f} ({gain.value:+.3f}, {gain.low:+.3f} to {gain.high:+.3f})"


def goals(found: PhotoHits | None) -> tuple[Goal, ...]:
    """Return the goals, NOT MEASURED without data. They are on the paper's products, so that the
    figure decides."""
    return tuple(
        Goal(
            f"photos, cross-validation: {name}, {_views(views)}, weight of the category {weight:g}",
            None,
            "",
            None if found is None else found.figure((views, weight), name)[0],
            least,
            by_figure=True,
            note=note(name, (views, weight)),
        )
        for name, (views, weight), least in GOALS
    )


def note(name: str, setting: Setting) -> str:
    """Return what a reader of this figure must know."""
    return chosen_here(VALIDATION.get((name, setting)))


def _views(count: int) -> str:
    return "one view" if count == 1 else f"{count} views"


def _plain(found: PhotoHits) -> Mapping[str, object]:
    return {
        f"{name}, {setting[0]} views, weight {setting[1]:g}": asdict(found.figure(setting, name)[0])
        for setting, name in found.hits
    }
