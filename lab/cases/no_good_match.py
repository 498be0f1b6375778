"""Fraction of queries without a match that is detected when 5% of good queries are rejected.

Each draw removes a quarter of the groceries' categories from the catalog and from the fit of a
fitted space. Phone photos of the remaining products are good queries; photos of removed products
and of clothes have no match and are called hopeless. The bench compares several figures of the
nearest products, each at the threshold that rejects 5% of the good queries, and three thresholds
that a shop could have: one learned on half of the good queries and applied to the others; and two
of the catalog alone: the cosine to the nearest other product that 5% of the catalog's photos stay
below, and the evaluation's of a fitted space: the cosine to the nearest photo that 5% of the
shoppers' photos stay below in folds that the map has not seen.

Two figures have the words of labels too, as a search reads them; how rare a word is, is counted in
the whole catalog. Labels of clothes are not read: they count as photos without words.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from embedder.domain.fitted import SHOPPER, Floats, Labelled
from embedder.fitting.cluster_bootstrap import ends, resampled
from embedder.fitting.fit import FitOptions, fit_rows
from embedder.fitting.measuring import FOLDS, MATCH, Measuring, Views, vectors
from lab.cases import labels as label_bench
from lab.cases.accuracy import labelled_photos
from lab.cases.accuracy_report import BACKBONE, CLOTHING, OFF_THE_SHELF, SEED
from lab.datasets import featured, grocery, labels
from lab.datasets.grocery import Grocery
from lab.peers import embedders

Doubles: TypeAlias = npt.NDArray[np.float64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]
Say: TypeAlias = Callable[[str], None]
Shares: TypeAlias = Mapping[str, Interval]
"""Rejected fraction by kind of query, and AREA."""

DRAWS: Final = 20
FITTED_DRAWS: Final = 3
"""Number of draws in fitted spaces; each needs a separate fit."""
HELD_OUT: Final = 0.25
"""Fraction of the categories that each draw removes."""
REFUSED: Final = 0.05
NEAREST: Final = "cosine of the nearest product"
LEARNED: Final = "that cosine, threshold learned on half of the good queries"
OWN: Final = "that cosine, the catalog's own threshold"
EVALUATED: Final = "that cosine, the threshold of the space's evaluation"
NAMES: Final = (
    NEAREST,
    "mean cosine of the five nearest products",
    "nearest less the mean of the next ten",
    "nearest, by mean and deviation over the catalog",
    "nearest less what its product has to its own nearest",
)
LABELS: Final = (
    "highest sum of a product's cosine and match with the label's words",
    "nearest less what another product matches more of the label's words",
)
KINDS: Final = ("refused", "caught", "clothes")
"""Rejected fractions of good queries, of hopeless ones and of clothes."""
CAUGHT_WANTED: Final = 0.5
"""Fraction of hopeless queries that should be detected."""
CLOTHES_EVERY: Final = 15
"""Step of the photos of clothes, ordered by name."""
AREA: Final = "area"
CLOTHES: Final = -1
PHONE: Final = "phone photos"
ICONIC: Final = "one studio photo each"
PLAIN: Final = "built-in"
FITTED: Final = "fitted"


class RejectionCounts:
    """Numbers of draws in which each query was used and rejected, by figure and kind."""

    def __init__(self, queries: int) -> None:
        every = (*NAMES, *LABELS, LEARNED, OWN, EVALUATED)
        self.times = {(name, kind): np.zeros(queries) for name in every for kind in KINDS}
        self.refused = {(name, kind): np.zeros(queries) for name in every for kind in KINDS}
        self.areas: dict[str, list[float]] = {name: [] for name in every}
        """Area under the curve of good against hopeless queries, by draw."""


@dataclass(frozen=True, slots=True)
class MatchCase:
    """A catalog and its queries in one space."""

    near: Floats
    """[queries, products]: the highest cosine of a query to a product's photos."""
    asked: Integers
    """The product of each query; CLOTHES if there is none."""
    among: Floats
    """[photos, products]: the same for the catalog's own photos, their own products at −∞."""
    shown: Integers
    """The product of each of the catalog's photos."""
    texts: Floats | None = None
    """[queries, products]: how well the words of the query's label match, with their weight in the
    score; None: not measured."""
    match_cosine: float = math.nan
    """Threshold of the space's evaluation; NaN: not measured."""


def run(say: Say) -> BenchResult:
    """Measure in five minutes, if the data is present."""
    folder = grocery.find()
    if folder is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there"
        return BenchResult((), {}, goals=goals({}), warnings=(missing,))
    clothes = sorted((folder.parent / CLOTHING).rglob("*.jpg"))[::CLOTHES_EVERY]
    texts = None
    if labels.there():
        say("labels")
        with embedders.without_cache(say) as served:
            texts, _ = label_bench.grocery_labels(folder, served.port, say)
    found = measured(grocery.load(folder), clothes, texts, say)
    asks = {name: {kind: asdict(each) for kind, each in by.items()} for name, by in found.items()}
    return BenchResult((table(found),), {"shares": asks}, goals=goals(found))


def measured(
    data: Grocery, clothes: Sequence[Path], texts: Floats | None, say: Say
) -> dict[str, Shares]:
    """Measure the rejected queries by space, catalog and figure. `texts`: how well the label of
    each photo of groceries matches each product; None: not measured."""
    if texts is not None:
        unread = np.zeros((len(clothes), texts.shape[1]), np.float32)
        texts = np.concatenate([label_bench.WEIGHT * texts, unread])
    say("groceries: vectors of the built-in space")
    asked = (*data.validation.paths, *clothes)
    products = np.concatenate([data.validation.products, np.full(len(clothes), CLOTHES)])
    draws, found = held_out(data, DRAWS), dict[str, Shares]()
    plain = [_plain(paths) for paths in (data.train.paths, data.iconic.paths, asked)]
    for catalog in (PHONE, ICONIC):
        made = _case(data, plain, products, catalog, texts)
        found |= _named(PLAIN, catalog, shares((made for _ in draws), draws, products))
    say("groceries: fits without the categories held out")
    labelled, features = _labelled(data), _features(asked)
    some = draws[:FITTED_DRAWS]
    spaces = [_fitted(labelled, features, held) for held in some]
    say("groceries: evaluations of these spaces")
    evaluated = [_match_cosine(labelled, held) for held in some]
    for catalog in (PHONE, ICONIC):
        cases = [_case(data, parts, products, catalog, texts) for parts in spaces]
        if catalog == PHONE:  # an evaluation has all of the catalog's photos to find
            pairs = zip(cases, evaluated, strict=True)
            cases = [replace(case, match_cosine=cosine) for case, cosine in pairs]
        found |= _named(FITTED, catalog, shares(cases, some, products))
    return found


def _named(space: str, catalog: str, found: Mapping[str, Shares]) -> dict[str, Shares]:
    return {f"{space}, {catalog}: {name}": each for name, each in found.items()}


def held_out(data: Grocery, draws: int) -> list[Booleans]:
    """Return for each draw the products that leave the catalog: whole categories."""
    names = np.array(data.categories)
    every = np.unique(names)
    draw = np.random.default_rng(SEED)
    size = round(HELD_OUT * len(every))
    return [np.isin(names, draw.choice(every, size, replace=False)) for _ in range(draws)]


# Vectors


def _plain(paths: Sequence[Path]) -> Floats:
    return featured.heads(featured.backbone(OFF_THE_SHELF), paths)


def _features(paths: Sequence[Path]) -> Floats:
    model = featured.backbone(BACKBONE)
    return featured.features(model, paths, model.recipe, 1)


def _labelled(data: Grocery) -> Labelled:
    """Return phone photos, then studio ones, to fit on."""
    train, iconic = _features(data.train.paths), _features(data.iconic.paths)
    return labelled_photos(data, train, iconic)


def _fitted(labelled: Labelled, asked: Floats, held: Booleans) -> list[Floats]:
    """Return vectors of the phone photos, the studio photos and the queries, by a fit without the
    held-out categories.
    """
    products = np.array([int(product) for product in labelled.products])
    made = fit_rows(labelled, np.flatnonzero(~held[products]), FitOptions(), SEED, texts=False)
    whole = vectors(made, labelled, np.arange(len(products)), 1)
    phone = int((labelled.kinds == SHOPPER).sum())
    kinds = np.full(len(asked), SHOPPER, np.int8)
    return [whole[:phone], whole[phone:], made.embed(asked[:, 0], kinds)]


def _match_cosine(labelled: Labelled, held: Booleans) -> float:
    """Return the threshold of the evaluation of a fit without the held-out categories."""
    products = np.array([int(product) for product in labelled.products])
    rows = np.flatnonzero(~held[products])
    kept = Labelled(
        features=labelled.features[rows],
        kinds=labelled.kinds[rows],
        products=[labelled.products[row] for row in rows.tolist()],
        groups=[labelled.groups[row] for row in rows.tolist()],
        categories=[labelled.categories[row] for row in rows.tolist()],
    )
    nothing = np.ones((len(rows), 1), np.float32)  # the space in use is not compared
    measuring = Measuring(kept, FitOptions(), nothing, views=Views(1, 1), seed=SEED)
    for fold in range(FOLDS):
        measuring.seen(fold)
    return next(each.value for each in measuring.figures() if each.name == MATCH)


# Nearest products


def _case(
    data: Grocery,
    parts: Sequence[Floats],
    products: Integers,
    catalog: str,
    texts: Floats | None,
) -> MatchCase:
    train, iconic, asked = parts
    held, photos = (train, data.train) if catalog == PHONE else (iconic, data.iconic)
    count = len(data.iconic.products)
    among = best_of(held @ held.T, photos.products, count)
    among[np.arange(len(held)), photos.products] = -np.inf
    near = best_of(asked @ held.T, photos.products, count)
    return MatchCase(near, products, among, photos.products, texts)


def best_of(cosines: Floats, shown: Integers, products: int) -> Floats:
    """Return [n, products]: the highest cosine to the photos of each product."""
    found = np.full((len(cosines), products), -np.inf, np.float32)
    for product in np.unique(shown):
        found[:, product] = cosines[:, shown == product].max(axis=1)
    return found


def figures(near: Floats, own: Floats) -> Mapping[str, Doubles]:
    """Return each figure by name for each row of cosines to products.

    `own`: each product's cosine to its nearest other one.
    """
    order = np.sort(near, axis=1)[:, ::-1].astype(np.float64)
    known = np.where(np.isfinite(near), near, np.nan).astype(np.float64)
    first = order[:, 0]
    values = (
        first,
        order[:, :5].mean(axis=1),
        first - order[:, 1:11].mean(axis=1),
        (first - np.nanmean(known, axis=1)) / np.nanstd(known, axis=1),
        first - own[near.argmax(axis=1)],
    )
    return dict(zip(NAMES, values, strict=True))


def label_figures(near: Floats, texts: Floats) -> Mapping[str, Doubles]:
    """Return each figure with labels by name for each row of cosines and matches to products."""
    rows, nearest = np.arange(len(near)), near.argmax(axis=1)
    more = texts.max(axis=1) - texts[rows, nearest]
    values = (near + texts).max(axis=1), near[rows, nearest] - more
    return {name: each.astype(np.float64) for name, each in zip(LABELS, values, strict=True)}


# Shares


def shares(
    cases: Iterable[MatchCase], draws: Sequence[Booleans], products: Integers
) -> dict[str, Shares]:
    """Return by figure the rejected fraction of each kind of query, and the separation of good and
    hopeless queries. Intervals resample products, as photos of one product are dependent.
    """
    counts = RejectionCounts(len(products))
    for number, (case, held) in enumerate(zip(cases, draws, strict=True)):
        _count(case, held, counts, np.random.default_rng(number))
    return {name: _share(counts, name, products) for name, areas in counts.areas.items() if areas}


def _count(
    case: MatchCase, held: Booleans, counts: RejectionCounts, draw: np.random.Generator
) -> None:
    kept = ~held
    inside = kept[case.shown]
    among = np.where(kept, case.among, -np.inf)[inside].max(axis=1)
    own = np.full(len(held), -np.inf)
    np.maximum.at(own, case.shown[inside], among)
    values = dict(figures(case.near[:, kept], own[kept]))
    if case.texts is not None:
        values |= label_figures(case.near[:, kept], case.texts[:, kept])
    values[LEARNED] = values[OWN] = values[NEAREST]
    if math.isfinite(case.match_cosine):
        values[EVALUATED] = values[NEAREST]
    clothes = case.asked == CLOTHES
    good, hopeless = (~clothes & group[case.asked] for group in (kept, held))
    halved = good & (draw.random(len(good)) < 0.5)
    for name, column in values.items():
        basis = {OWN: among, LEARNED: column[halved]}.get(name, column[good])
        judged = good & ~halved if name == LEARNED else good
        at = case.match_cosine if name == EVALUATED else np.quantile(basis, REFUSED)
        for kind, rows in zip(KINDS, (judged, hopeless, clothes), strict=True):
            counts.times[name, kind] += rows
            counts.refused[name, kind] += rows & (column < at)
        counts.areas[name].append(float((column[hopeless][:, None] < column[good]).mean()))


def _share(counts: RejectionCounts, name: str, products: Integers) -> Shares:
    areas = counts.areas[name]
    low, high = np.quantile(areas, (0.025, 0.975))
    found = {AREA: Interval(float(np.mean(areas)), float(low), float(high))}
    for kind in KINDS:
        refused, times = (each[name, kind] for each in (counts.refused, counts.times))
        if times.any():
            # Photos of clothes are products of their own.
            hang = np.where(products == CLOTHES, -1 - np.arange(len(products)), products)
            found[kind] = _interval(refused, times, hang)
    return found


def _interval(sums: Doubles, times: Doubles, products: Integers) -> Interval:
    drawn = resampled(np.stack([sums, times], axis=1), products, SEED)
    low, high = ends((drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12))[:, None])[:, 0]
    return Interval(float(sums.sum() / times.sum()), float(low), float(high))


# The report


def goals(found: Mapping[str, Shares]) -> tuple[Goal, ...]:
    """Return the goal for hopeless queries in each of the four settings."""
    return tuple(
        Goal(
            f"{space}, {catalog}: hopeless detected with {REFUSED:.0%} of good queries rejected",
            None,
            "",
            found.get(f"{space}, {catalog}: {NEAREST}", {}).get("caught"),
            CAUGHT_WANTED,
        )
        for space in (PLAIN, FITTED)
        for catalog in (PHONE, ICONIC)
    )


def table(found: Mapping[str, Shares]) -> BenchTable:
    """Return the table, a row for each figure."""
    rows = []
    for name, by in found.items():
        where, _, figure = name.partition(": ")
        cells = (_cell(by.get(kind)) for kind in KINDS)
        rows.append((where, figure, *cells, f"{by[AREA].value:.3f}"))
    return BenchTable(
        title="Queries for what the catalog does not hold",
        headers=(
            *("space, catalog", "judged by", "good rejected", "hopeless detected"),
            *("clothes detected", "AUROC"),
        ),
        rows=tuple(rows),
        caption=(
            f"A quarter of 43 categories held out, {DRAWS} draws (fitted: {FITTED_DRAWS}). In"
            " brackets 95% intervals by the bootstrap over products. AUROC: of good against"
            " hopeless queries, mean of the draws."
        ),
    )


def _cell(each: Interval | None) -> str:
    if each is None:
        return "NOT MEASURED"
    return f"{each.value:.1%} ({each.low:.1%}-{each.high:.1%})"
