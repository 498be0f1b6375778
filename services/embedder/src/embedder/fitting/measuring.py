"""Figures of a space, query by query, on photos outside its training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from embedder.domain.errors import FitInvalid
from embedder.domain.fitted import (
    CATALOGUE,
    SHOPPER,
    FittedSpace,
    Floats,
    Labelled,
    SpaceFigure,
    unit,
)
from embedder.fitting import folds
from embedder.fitting.calibration import calibration_error
from embedder.fitting.cluster_bootstrap import intervals, quantile
from embedder.fitting.components import Rows
from embedder.fitting.fit import FitOptions, fit_rows
from embedder.fitting.folds import Integers
from embedder.fitting.nearest_photos import average_precisions, cosines, hits

FOLDS: Final = 5
HALVES: Final = 2
MOST_QUERIES: Final = 10_000
"""Maximum number of query photos, sampled from all: then the interval is one percentage point
wide."""
BLOCK: Final = 2048
LEAST_QUERIES: Final = 10
"""Minimum number of queries of a figure; with fewer it is left out."""

NEAREST: Final = "1-NN"
HIT: Final = "hit@5"
PRECISION: Final = "mAP"
CATEGORY: Final = "category"
CALIBRATION: Final = "category calibration error"
UNKNOWN: Final = "unknown category found"
ICONIC: Final = "1-NN one catalogue photo"
ICONIC_HIT: Final = "hit@5 one catalogue photo"
UNSEEN: Final = "1-NN unseen products"
UNSEEN_ICONIC: Final = "1-NN one catalogue photo, unseen products"
UNSEEN_ICONIC_HIT: Final = "hit@5 one catalogue photo, unseen products"
TEXT: Final = "text hit@10"
MATCH: Final = "cosine of a good match"
"""Cosine of the nearest photo that MATCH_REFUSED of the queries stay below."""
MATCH_REFUSED: Final = 0.05
HIT_TOP: Final = 5
TEXT_TOP: Final = 10

Values = npt.NDArray[np.float64]


class Learn(Protocol):
    """Fits a map on some of the photos: `fit_rows`."""

    def __call__(
        self, data: Labelled, rows: Rows, options: FitOptions, seed: int, *, texts: bool = True
    ) -> FittedSpace:
        """Fit a space to these rows of the photos. Raise FitInvalid when they do not allow it."""


Refit = Callable[[Rows], Floats]
"""Fits the space in use again, on these rows of the photos; returns the vectors [n, b] of all."""


@dataclass(frozen=True, slots=True)
class Views:
    """Number of views of a photo that are averaged, the first ones."""

    shopper: int = 1
    catalog: int = 4


@dataclass(slots=True)
class QueryScores:
    """Values of a figure by query."""

    values: list[Values] = field(default_factory=list)
    baselines: list[Values] = field(default_factory=list)
    clusters: list[Integers] = field(default_factory=list)
    """Queries with equal numbers depend on each other."""

    def add(
        self, values: npt.ArrayLike, baselines: npt.ArrayLike | None, clusters: Integers
    ) -> None:
        """Add values of queries; `baselines` None: the space in use has no such figure."""
        self.values.append(np.asarray(values, float))
        self.clusters.append(clusters)
        if baselines is not None:
            self.baselines.append(np.asarray(baselines, float))

    def figure(self, name: str, seed: int) -> SpaceFigure:
        """Return the means with their intervals."""
        value, clusters = np.concatenate(self.values), np.concatenate(self.clusters)
        if not self.baselines:
            ends = intervals(value[:, None], clusters, seed)
            low, high = map(float, ends[:, 0])
            return SpaceFigure(name, float(value.mean()), low, high, len(value))
        before = np.concatenate(self.baselines)
        ends = intervals(np.stack([value, value - before], axis=1), clusters, seed)
        low, high, gain_low, gain_high = map(float, ends.T.ravel())
        return SpaceFigure(
            name,
            float(value.mean()),
            low,
            high,
            len(value),
            baseline=float(before.mean()),
            gain_low=gain_low,
            gain_high=gain_high,
        )


class Measuring:
    """Fits maps on parts of the photos and measures them on the rest."""

    def __init__(
        self,
        data: Labelled,
        options: FitOptions,
        baseline: Floats | Refit,
        *,
        views: Views,
        seed: int,
        learn: Learn = fit_rows,
    ) -> None:
        self._data, self._options, self._baseline = data, options, baseline
        self._views, self._seed, self._learn = views, seed, learn
        self._products = folds.numbered(data.products)
        self._groups = folds.numbered(data.groups)
        self._both = len(set(data.kinds.tolist())) > 1
        self._folds = self._dealt()
        self._asking = self._asked()
        self._tallies: dict[str, QueryScores] = {}
        self._surety: list[tuple[Values, npt.NDArray[np.bool_]]] = []
        self._matches = QueryScores()

    def seen(self, fold: int) -> None:
        """Measure a fold with a map fitted on the others."""
        held = self._folds == fold
        train, asked = np.flatnonzero(~held), np.flatnonzero(held & self._asking)
        asked = asked[np.isin(self._products[asked], self._products[train])]
        if not len(asked):
            return
        fitted = self._learn(self._data, train, self._options, self._seed, texts=False)
        queries, found = self._vectors(fitted, asked, train)
        in_use = self._before(train)
        pairs = [(queries, found), (in_use[asked], in_use[train])]
        near = np.concatenate([block.max(axis=1) for _, block in cosines(queries, found)])
        self._matches.add(near, None, self._groups[asked])
        self._search(NEAREST, pairs, asked, train, top=1, clusters=self._groups)
        self._search(HIT, pairs, asked, train, top=HIT_TOP, clusters=self._groups)
        wanted, shown = self._products[asked], self._products[train]
        ours, before = (average_precisions(one, wanted, other, shown) for one, other in pairs)
        self._tally(PRECISION).add(ours, before, self._groups[asked])
        self._iconic((ICONIC, ICONIC_HIT), pairs, asked, train, self._groups)
        self._category(fitted, pairs, asked, train)

    def unseen(self, half: int) -> None:
        """Measure half of the products with a map fitted on the photos of the other half."""
        draw = np.random.default_rng(self._seed)
        inside = draw.permutation(self._products.max() + 1) % HALVES == half
        mine = inside[self._products]
        try:
            fitted = self._learn(self._data, np.flatnonzero(~mine), self._options, self._seed)
        except FitInvalid:
            return  # a map needs at least two products
        rest = np.flatnonzero(mine)
        every = self._vectors(fitted, rest, rest)
        before = (self._before(np.flatnonzero(~mine))[rest],) * 2
        for fold in range(FOLDS):
            held = self._folds[rest] == fold
            ask, find = held & self._asking[rest], ~held
            ask &= np.isin(self._products[rest], self._products[rest[find]])
            if ask.any():
                pairs = [(queries[ask], found[find]) for queries, found in (every, before)]
                self._search(UNSEEN, pairs, rest[ask], rest[find], top=1, clusters=self._products)
        ask = self._asking[rest]
        pairs = [(queries[ask], found) for queries, found in (every, before)]
        names = (UNSEEN_ICONIC, UNSEEN_ICONIC_HIT)
        self._iconic(names, pairs, rest[ask], rest, self._products)
        self._unknown(fitted, every[0][ask], rest[ask])
        self._text(fitted, every[1], rest)

    def figures(self) -> list[SpaceFigure]:
        """Return the figures with enough queries."""
        enough = {
            name: tally
            for name, tally in self._tallies.items()
            if sum(map(len, tally.values)) >= LEAST_QUERIES
        }
        found = [tally.figure(name, self._seed) for name, tally in enough.items()]
        if CATEGORY in enough:
            chances, right = map(np.concatenate, zip(*self._surety, strict=True))
            ends = calibration_error(chances, right, self._seed)
            found.append(SpaceFigure(CALIBRATION, *ends, len(right)))
        if NEAREST in enough:
            near = np.concatenate(self._matches.values)
            groups = np.concatenate(self._matches.clusters)
            ends = quantile(near, groups, MATCH_REFUSED, self._seed)
            found.append(SpaceFigure(MATCH, *ends, len(near)))
        return found

    def _dealt(self) -> Integers:
        """Return the fold of each photo; -1: always a training photo, and always to be found."""
        dealt = folds.dealt(self._groups, self._products, FOLDS, self._seed)
        if self._both:
            fixed = np.unique(self._groups[self._data.kinds == CATALOGUE])
            dealt[np.isin(self._groups, fixed)] = -1
        return dealt

    def _asked(self) -> npt.NDArray[np.bool_]:
        """Return a mask of the query photos."""
        asking = (self._data.kinds == SHOPPER) if self._both else np.ones(len(self._products), bool)
        asking &= self._folds >= 0
        places = np.flatnonzero(asking)
        spare = max(0, len(places) - MOST_QUERIES)
        asking[np.random.default_rng(self._seed).permutation(places)[:spare]] = False
        return asking

    def _vectors(self, fitted: FittedSpace, asked: Rows, found: Rows) -> tuple[Floats, Floats]:
        """Return the vectors of query photos, and of the photos to be found."""
        return (
            vectors(fitted, self._data, asked, self._views.shopper),
            vectors(fitted, self._data, found, self._views.catalog),
        )

    def _before(self, train: Rows) -> Floats:
        """Return the vectors of all photos in the space in use."""
        return self._baseline(train) if callable(self._baseline) else self._baseline

    def _tally(self, name: str) -> QueryScores:
        return self._tallies.setdefault(name, QueryScores())

    def _search(
        self,
        name: str,
        pairs: Sequence[tuple[Floats, Floats]],
        asked: Rows,
        found: Rows,
        *,
        top: int,
        clusters: Integers,
    ) -> None:
        """Record which queries find their product among the first, in both spaces."""
        wanted, shown = self._products[asked], self._products[found]
        ours, before = (hits(queries, wanted, photos, shown, top) for queries, photos in pairs)
        self._tally(name).add(ours, before, clusters[asked])

    def _iconic(
        self,
        names: tuple[str, str],
        pairs: Sequence[tuple[Floats, Floats]],
        asked: Rows,
        found: Rows,
        clusters: Integers,
    ) -> None:
        """Record the same with only the first catalog photo of each product to be found."""
        if not self._both:
            return
        studio = np.flatnonzero(self._data.kinds[found] == CATALOGUE)
        _, first = np.unique(self._products[found[studio]], return_index=True)
        index = studio[first]
        asks = np.isin(self._products[asked], self._products[found[index]])
        if not asks.any():
            return
        chosen = [(queries[asks], photos[index]) for queries, photos in pairs]
        for name, top in zip(names, (1, HIT_TOP), strict=True):
            self._search(name, chosen, asked[asks], found[index], top=top, clusters=clusters)

    def _category(
        self, fitted: FittedSpace, pairs: Sequence[tuple[Floats, Floats]], asked: Rows, train: Rows
    ) -> None:
        """Record which categories are recognised, and their probabilities."""
        head = fitted.head
        if head is None:
            return
        number = {path: place for place, path in enumerate(head.categories)}
        truth = np.array([number.get(path, -1) for path in self._data.categories])
        known = truth[asked] >= 0
        if not known.any():
            return
        (queries, _), (asking, found) = pairs
        chances = head.chances(queries[known])[:, :-1]
        best, right = chances.argmax(axis=1), truth[asked[known]]
        usable = truth[train] >= 0
        nearest = nearest_mean(asking[known], found[usable], truth[train[usable]])
        clusters = self._groups[asked[known]]
        self._tally(CATEGORY).add(best == right, nearest == right, clusters)
        self._surety.append((chances.max(axis=1), best == right))

    def _unknown(self, fitted: FittedSpace, queries: Floats, asked: Rows) -> None:
        """Record which photos of categories outside the training are classified as unknown."""
        head = fitted.head
        if head is None:
            return
        known = {*head.categories, ()}
        strange = np.array([self._data.categories[row] not in known for row in asked], bool)
        if strange.any():
            best = head.chances(queries[strange]).argmax(axis=1)
            clusters = self._products[asked[strange]]
            self._tally(UNKNOWN).add(best == len(head.categories), None, clusters)

    def _text(self, fitted: FittedSpace, found: Floats, rest: Rows) -> None:
        """Record which titles find a photo of their product."""
        text_map, sentences = fitted.text_map, self._data.sentences
        if text_map is None or sentences is None:
            return
        _, first = np.unique(self._products[rest], return_index=True)
        titled = rest[first][sentences[rest[first]].any(axis=1)]
        queries = text_map.vectors(sentences[titled])
        wanted = self._products[titled]
        right = hits(queries, wanted, found, self._products[rest], TEXT_TOP)
        self._tally(TEXT).add(right, None, wanted)


def vectors(fitted: FittedSpace, data: Labelled, rows: Rows, views: int) -> Floats:
    """Return [m, d], of unit length: the mean of the first views of each of these photos."""
    found = np.empty((len(rows), fitted.projection.shape[1]), np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        features = data.features[block, :views]
        count = features.shape[1]
        flat = features.reshape(-1, features.shape[2])
        each = fitted.embed(flat, np.repeat(data.kinds[block], count))
        found[start : start + len(block)] = unit(each.reshape(len(block), count, -1).mean(1))
    return found


def nearest_mean(queries: Floats, photos: Floats, classes: Integers) -> Integers:
    """Return the class of each query: the one with the nearest mean of photos."""
    names = np.unique(classes)
    means = unit(np.stack([photos[classes == name].mean(axis=0) for name in names]))
    return np.asarray(names[(queries @ means.T).argmax(axis=1)])
