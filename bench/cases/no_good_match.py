"""At 5% of good queries refused, which share of hopeless ones is caught: groceries held out.

A quarter of the groceries' categories leaves the catalog in each draw, and the fit of a fitted
space with them. Photos of what is left are good queries, photos of what left are hopeless. Judged
are several figures of the nearest products, each at the threshold that refuses 5% of the good
queries; and the product's own threshold, which knows of no query: the cosine to the nearest other
product that 5% of the catalog's photos stay below.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.cases.accuracy_report import BACKBONE, OFF_THE_SHELF, SEED
from bench.datasets import featured, grocery
from bench.datasets.grocery import Grocery, Photos
from bench.harness.model import Goal, Interval, Result, Table
from embedder.domain.fitted import CATALOGUE, SHOPPER, Floats, Labelled
from embedder.fitting.bootstrap import ends, resampled
from embedder.fitting.fit import Options, fit_rows
from embedder.fitting.measuring import vectors

Doubles: TypeAlias = npt.NDArray[np.float64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]
Say: TypeAlias = Callable[[str], None]

DRAWS: Final = 20
FITTED_DRAWS: Final = 5
"""Each is a fit of its own."""
HELD_OUT: Final = 0.25
"""Of the categories, that leave the catalog in each draw."""
REFUSED: Final = 0.05
NEAREST: Final = "cosine of the nearest product"
OWN: Final = "the catalog's own threshold, on that cosine"
NAMES: Final = (
    NEAREST,
    "mean cosine of the five nearest products",
    "nearest less the mean of the next ten",
    "nearest, by mean and deviation over the catalog",
    "nearest less what its product has to its own nearest",
)
KINDS: Final = ("refused", "caught")
"""Shares of good queries and of hopeless ones."""
AREA: Final = "area"
PHONE: Final = "phone photos"
ICONIC: Final = "one studio photo each"
PLAIN: Final = "built-in"
FITTED: Final = "fitted"


class Counts:
    """How often each query was asked and refused over all draws, good and hopeless, by figure."""

    def __init__(self, queries: int) -> None:
        self.times = {kind: np.zeros(queries) for kind in KINDS}
        self.refused = {(name, kind): np.zeros(queries) for name in (*NAMES, OWN) for kind in KINDS}
        self.areas: dict[str, list[float]] = {name: [] for name in (*NAMES, OWN)}
        """Under the curve, of each draw."""


@dataclass(frozen=True, slots=True)
class Case:
    """A catalog and what is asked of it, in one space."""

    near: Floats
    """[queries, products]: the best cosine of a query to a product's photos."""
    asked: Integers
    """The product that each query shows."""
    among: Floats
    """[photos, products]: the same for the catalog's own photos, their own products at −∞."""
    shown: Integers
    """The product of each of the catalog's photos."""


def run(say: Say) -> Result:
    """A minute, where the data is there."""
    folder = grocery.find()
    if folder is None:
        missing = f"$SIGHTLINE_DATA/{grocery.FOLDER} is not there"
        return Result((), {}, goals({}), (f"NOT MEASURED: {missing}",))
    found = measured(grocery.load(folder), say)
    return Result((table(found),), {"share": found}, goals(found))


def measured(data: Grocery, say: Say) -> dict[str, dict[str, dict[str, Interval]]]:
    """By space and catalog, by figure: what is refused and caught."""
    say("groceries: vectors of the built-in space")
    plain = [_plain(part) for part in (data.train, data.iconic, data.validation)]
    found = {}
    draws = held_out(data, DRAWS)
    for catalog in (PHONE, ICONIC):
        cases = (_case(data, plain, catalog) for _ in draws)
        found[f"{PLAIN}, {catalog}"] = shares(cases, draws, _products(data, catalog))
    say("groceries: fits without the categories held out")
    labelled, asked = _labelled(data)
    some = draws[:FITTED_DRAWS]
    spaces = [_fitted(labelled, asked, held) for held in some]
    for catalog in (PHONE, ICONIC):
        cases = (_case(data, parts, catalog) for parts in spaces)
        found[f"{FITTED}, {catalog}"] = shares(cases, some, _products(data, catalog))
    return found


def held_out(data: Grocery, draws: int) -> list[Booleans]:
    """Of each draw, which products leave the catalog: whole categories."""
    names = np.array(data.categories)
    every = np.unique(names)
    draw = np.random.default_rng(SEED)
    size = round(HELD_OUT * len(every))
    return [np.isin(names, draw.choice(every, size, replace=False)) for _ in range(draws)]


# Vectors


def _plain(photos: Photos) -> Floats:
    return featured.heads(featured.backbone(OFF_THE_SHELF), photos.paths)


def _features(photos: Photos) -> Floats:
    model = featured.backbone(BACKBONE)
    return featured.features(model, photos.paths, model.recipe, 1)


def _labelled(data: Grocery) -> tuple[Labelled, Labelled]:
    """Phone photos with the studio ones, to fit on; and the validation part."""
    seen = featured.heads(featured.backbone(OFF_THE_SHELF), data.train.paths)
    scenes = grocery.scenes(seen, data.train.products)
    studio = [f"studio {place}" for place in range(len(data.iconic.products))]
    train = _of(
        data,
        np.concatenate([_features(data.train), _features(data.iconic)]),
        np.concatenate([data.train.products, data.iconic.products]),
        [*(f"scene {scene}" for scene in scenes), *studio],
        len(data.train.products),
    )
    count = len(data.validation.products)
    groups = [str(place) for place in range(count)]
    features = _features(data.validation)
    return train, _of(data, features, data.validation.products, groups, count)


def _of(
    data: Grocery, features: Floats, products: Integers, groups: Sequence[str], phone: int
) -> Labelled:
    """Photos of which the first ones, `phone` of them, are shoppers'."""
    kinds = np.full(len(products), CATALOGUE, np.int8)
    kinds[:phone] = SHOPPER
    return Labelled(
        features=features,
        kinds=kinds,
        products=[str(product) for product in products],
        groups=list(groups),
        categories=[(data.categories[product],) for product in products],
        sentences=None,
    )


def _fitted(labelled: Labelled, asked: Labelled, held: Booleans) -> list[Floats]:
    """Vectors of the train part, the studio photos and the validation part, by a fit that knows
    nothing of what is held out."""
    products = np.array([int(product) for product in labelled.products])
    made = fit_rows(labelled, np.flatnonzero(~held[products]), Options(), SEED, texts=False)
    phone = int((labelled.kinds == SHOPPER).sum())
    whole = vectors(made, labelled, np.arange(len(products)), 1)
    return [whole[:phone], whole[phone:], vectors(made, asked, np.arange(len(asked.products)), 1)]


# What is near to what


def _products(data: Grocery, catalog: str) -> Integers:
    """The products that the queries show."""
    asked = data.validation.products
    return asked if catalog == PHONE else np.concatenate([data.train.products, asked])


def _case(data: Grocery, parts: Sequence[Floats], catalog: str) -> Case:
    """Asked are the phone photos that the catalog does not hold."""
    train, iconic, validation = parts
    asked = _products(data, catalog)
    if catalog == PHONE:
        queries, held, shown = validation, train, data.train.products
    else:
        queries, held, shown = np.concatenate([train, validation]), iconic, data.iconic.products
    count = len(data.iconic.products)
    among = best_of(held @ held.T, shown, count)
    among[np.arange(len(shown)), shown] = -np.inf
    return Case(best_of(queries @ held.T, shown, count), asked, among, shown)


def best_of(cosines: Floats, shown: Integers, products: int) -> Floats:
    """Return [n, products]: the best cosine to the photos of each product."""
    found = np.full((len(cosines), products), -np.inf, np.float32)
    for product in np.unique(shown):
        found[:, product] = cosines[:, shown == product].max(axis=1)
    return found


def figures(near: Floats, own: Floats) -> Mapping[str, Doubles]:
    """By name what is judged by, for each row of cosines to products; `own`: what each product has
    to its nearest other one."""
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


# Shares


def shares(
    cases: Iterable[Case], draws: Sequence[Booleans], products: Integers
) -> dict[str, dict[str, Interval]]:
    """By figure the shares of good and of hopeless queries that are refused, and how well it tells
    them apart; intervals by products, as photos of one hang together."""
    counts = Counts(len(products))
    for case, held in zip(cases, draws, strict=True):
        _count(case, held, counts)
    return {name: _share(counts, name, products) for name in (*NAMES, OWN)}


def _count(case: Case, held: Booleans, counts: Counts) -> None:
    kept = ~held
    inside = kept[case.shown]
    among = np.where(kept, case.among, -np.inf)[inside].max(axis=1)
    own = np.full(len(held), -np.inf)
    np.maximum.at(own, case.shown[inside], among)
    values = dict(figures(case.near[:, kept], own[kept]))
    values[OWN] = values[NEAREST]
    good = kept[case.asked]
    for kind, rows in zip(KINDS, (good, ~good), strict=True):
        counts.times[kind] += rows
    for name, column in values.items():
        at = np.quantile(among if name == OWN else column[good], REFUSED)
        for kind, rows in zip(KINDS, (good, ~good), strict=True):
            counts.refused[name, kind] += rows & (column < at)
        counts.areas[name].append(float((column[~good][:, None] < column[good]).mean()))


def _share(counts: Counts, name: str, products: Integers) -> dict[str, Interval]:
    areas = counts.areas[name]
    low, high = np.quantile(areas, (0.025, 0.975))
    found = {
        kind: _interval(counts.refused[name, kind], counts.times[kind], products) for kind in KINDS
    }
    return {**found, AREA: Interval(float(np.mean(areas)), float(low), float(high))}


def _interval(sums: Doubles, times: Doubles, products: Integers) -> Interval:
    drawn = resampled(np.stack([sums, times], axis=1), products, SEED)
    low, high = ends((drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12))[:, None])[:, 0]
    return Interval(float(sums.sum() / times.sum()), float(low), float(high))


# What is reported


def table(found: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Table:
    """A line a figure."""
    rows = [
        (where, name, *(_cell(each[kind]) for kind in KINDS), f"{each[AREA].value:.3f}")
        for where, figures_of in found.items()
        for name, each in figures_of.items()
    ]
    return Table(
        title="Queries for what the catalog does not hold",
        headers=("space, catalog", "judged by", "good refused", "hopeless caught", "AUROC"),
        rows=tuple(rows),
        caption=(
            f"A quarter of 43 categories held out, {DRAWS} draws (fitted: {FITTED_DRAWS}). In"
            " brackets 95% intervals by the bootstrap over products. AUROC: mean of the draws."
        ),
    )


def _cell(each: Interval) -> str:
    return f"{each.value:.1%} ({each.low:.1%}-{each.high:.1%})"


def goals(found: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> tuple[Goal, ...]:
    """What the catalog's own threshold may refuse of good queries by photos like the catalog's."""
    return tuple(
        Goal(
            f"{space} space: good queries refused by the catalog's own threshold",
            at_most=REFUSED,
            unit="share",
            measured=found[where][OWN]["refused"] if where in found else None,
            by_figure=True,
            missing="" if where in found else f"$SIGHTLINE_DATA/{grocery.FOLDER}",
        )
        for space in (PLAIN, FITTED)
        for where in (f"{space}, {PHONE}",)
    )
