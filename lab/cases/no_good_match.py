"""Fraction of queries without a match that is detected when 5% of good queries are rejected.

Each draw removes a quarter of the groceries' categories from the catalog and from the fit of a
fitted space. Phone photos of the remaining products are good queries; photos of removed products
and of clothes have no match and are called hopeless. The bench compares figures of the
nearest products, each at the threshold that rejects 5% of the good queries, and three thresholds
that a shop could have: one learned on half of the good queries and applied to the others; one of
the catalog alone, the cosine to the nearest other product that 5% of the catalog's photos stay
below; and that of a fit, which depends on the category that its head sees in the query.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from embedder.domain.fitted import MATCH_SHARES, SHOPPER, FittedSpace, Floats, Labelled, unit
from embedder.fitting.cluster_bootstrap import ends, resampled
from embedder.fitting.fit import FitOptions, fit_rows
from embedder.fitting.measuring import vectors
from lab.cases.accuracy import VIEWS, labelled_photos
from lab.cases.accuracy_report import BACKBONE, CLOTHING, OFF_THE_SHELF, SEED
from lab.datasets import featured, grocery
from lab.datasets.grocery import Grocery

Doubles: TypeAlias = npt.NDArray[np.float64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]
Say: TypeAlias = Callable[[str], None]
Shares: TypeAlias = Mapping[str, Interval]
"""Rejected fraction by kind of query, and AREA."""

DRAWS: Final = 20
FITTED_DRAWS: Final = 10
"""Number of draws in fitted spaces; each needs a separate fit."""
HELD_OUT: Final = 0.25
"""Fraction of the categories that each draw removes."""
REFUSED: Final = 0.05
NEAREST: Final = "cosine of the nearest product"
LEARNED: Final = "that cosine, threshold learned on half of the good queries"
OWN: Final = "that cosine, the catalog's own threshold"
RELATIVE: Final = "that cosine against good matches of the query's category"
MEASURED: Final = "that cosine, the fit's threshold for the query's category"
NAMES: Final = (NEAREST, "nearest less the mean of the next ten")
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
FITTED: Final = {1: "fitted", 2: "fitted, two views"}
"""Fitted spaces by the number of views of a query."""
SHARE, HALF = MATCH_SHARES.index(REFUSED), MATCH_SHARES.index(0.5)


class RejectionCounts:
    """Numbers of draws in which each query was used and rejected, by figure and kind."""

    def __init__(self, queries: int) -> None:
        every = (*NAMES, RELATIVE, LEARNED, OWN, MEASURED)
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
    cosines: Floats | None = None
    """[queries, MATCH_SHARES]: cosines of good matches of the query's category, by the fit; None
    without a fit."""


def run(say: Say) -> BenchResult:
    """Measure in three minutes, if the data is present."""
    folder = grocery.find()
    if folder is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there"
        return BenchResult((), {}, goals=goals({}), warnings=(missing,))
    clothes = sorted((folder.parent / CLOTHING).rglob("*.jpg"))[::CLOTHES_EVERY]
    found = measured(grocery.load(folder), clothes, say)
    asks = {name: {kind: asdict(each) for kind, each in by.items()} for name, by in found.items()}
    return BenchResult((table(found),), {"shares": asks}, goals=goals(found))


def measured(data: Grocery, clothes: Sequence[Path], say: Say) -> dict[str, Shares]:
    """Measure the rejected queries by space, catalog and figure."""
    say("groceries: vectors of the built-in space")
    parts = (data.train.paths, data.iconic.paths, data.validation.paths, clothes)
    products = np.concatenate([data.validation.products, np.full(len(clothes), CLOTHES)])
    draws, found = held_out(data, DRAWS), dict[str, Shares]()
    train, iconic, *asked = map(_plain, parts)
    for catalog in (PHONE, ICONIC):
        made = _case(data, (train, iconic, np.concatenate(asked)), products, catalog)
        found |= _named(PLAIN, catalog, shares((made for _ in draws), draws, products))
    say("groceries: fits without the categories held out")
    train, iconic, *asked = map(_features, parts)
    labelled, features = labelled_photos(data, train, iconic), np.concatenate(asked)
    some = draws[:FITTED_DRAWS]
    spaces = [_fitted(labelled, held) for held in some]
    for views, name in FITTED.items():
        cases = [_fitted_cases(data, space, labelled, features[:, :views]) for space in spaces]
        for catalog in (PHONE, ICONIC):
            chosen = (_case(data, made, products, catalog, near) for made, near in cases)
            found |= _named(name, catalog, shares(chosen, some, products))
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
    return featured.features(model, paths, model.recipe, VIEWS)


def _fitted(labelled: Labelled, held: Booleans) -> FittedSpace:
    """Fit without the held-out categories."""
    products = np.array([int(product) for product in labelled.products])
    return fit_rows(labelled, np.flatnonzero(~held[products]), FitOptions(), SEED, texts=False)


def _fitted_cases(
    data: Grocery, space: FittedSpace, labelled: Labelled, asked: Floats
) -> tuple[Sequence[Floats], Floats]:
    """Return vectors of the phone photos, the studio photos and the queries, of the features
    [queries, views, f], and the queries' cosines of good matches, as the embedder does."""
    whole = vectors(space, labelled, np.arange(len(labelled.products)), VIEWS)
    phone = len(data.train.products)
    count, views, width = asked.shape
    kinds = np.full(count * views, SHOPPER, np.int8)
    each = space.embed(asked.reshape(-1, width), kinds)
    head = space.head
    if head is None or head.match_cosines is None:
        raise ValueError("these groceries have categories and shoppers' photos")
    seen = head.chances(each)[:, :-1].reshape(count, views, -1).mean(axis=1).argmax(axis=1)
    queries = unit(each.reshape(count, views, -1).mean(axis=1))
    return (whole[:phone], whole[phone:], queries), head.match_cosines[views - 1, seen]


# Nearest products


def _case(
    data: Grocery,
    parts: Sequence[Floats],
    products: Integers,
    catalog: str,
    cosines: Floats | None = None,
) -> MatchCase:
    train, iconic, asked = parts
    held, photos = (train, data.train) if catalog == PHONE else (iconic, data.iconic)
    count = len(data.iconic.products)
    among = best_of(held @ held.T, photos.products, count)
    among[np.arange(len(held)), photos.products] = -np.inf
    near = best_of(asked @ held.T, photos.products, count)
    return MatchCase(near, products, among, photos.products, cosines)


def best_of(cosines: Floats, shown: Integers, products: int) -> Floats:
    """Return [n, products]: the highest cosine to the photos of each product."""
    found = np.full((len(cosines), products), -np.inf, np.float32)
    for product in np.unique(shown):
        found[:, product] = cosines[:, shown == product].max(axis=1)
    return found


def figures(near: Floats) -> Mapping[str, Doubles]:
    """Return each figure by name for each row of cosines to products."""
    order = np.sort(near, axis=1)[:, ::-1].astype(np.float64)
    first = order[:, 0]
    return dict(zip(NAMES, (first, first - order[:, 1:11].mean(axis=1)), strict=True))


def relative(nearest: Doubles, cosines: Floats) -> Doubles:
    """Return how far the cosine is from the middle of good matches of its category, by their
    spread."""
    middle = cosines[:, HALF]
    return np.asarray((nearest - middle) / (middle - cosines[:, SHARE]), np.float64)


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
    values = dict(figures(case.near[:, kept]))
    values[LEARNED] = values[OWN] = values[NEAREST]
    if case.cosines is not None:
        values[RELATIVE] = relative(values[NEAREST], case.cosines)
        values[MEASURED] = values[NEAREST] - case.cosines[:, SHARE]
    clothes = case.asked == CLOTHES
    good, hopeless = (~clothes & group[case.asked] for group in (kept, held))
    halved = good & (draw.random(len(good)) < 0.5)
    for name, column in values.items():
        basis = {OWN: among, LEARNED: column[halved]}.get(name, column[good])
        judged = good & ~halved if name == LEARNED else good
        at = 0.0 if name == MEASURED else np.quantile(basis, REFUSED)
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
    """Return the goal for hopeless queries in each space and catalog, by its best figure."""
    best = {PLAIN: NEAREST} | dict.fromkeys(FITTED.values(), RELATIVE)
    return tuple(
        Goal(
            f"{space}, {catalog}: hopeless detected with {REFUSED:.0%} of good queries rejected",
            None,
            "",
            found.get(f"{space}, {catalog}: {figure}", {}).get("caught"),
            CAUGHT_WANTED,
        )
        for space, figure in best.items()
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
