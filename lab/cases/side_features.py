"""New films by item-to-item weights with side features in closed form, beside the part `content`:
CEASE and Add-EASE (Jeunen, Van Balen and Goethals 2020, doi 10.1145/3383313.3418480); and all three
with the words of titles as further features.

On validation: the training part of the tails. Three fifths of the films, of another draw than that
of `new_films`, are left out in turn; ties are ordered at random. Everything is chosen on these
films, so the figures of both methods are slightly optimistic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.datasets.movielens import NEW_FILMS as RECIPE
from bench.datasets.movielens import MovieLens
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from lab.cases import new_films_report as report
from lab.cases.new_films import without_content
from lab.cases.quality import (
    AUC,
    NDCG,
    SHARE,
    ByLot,
    NewFilms,
    SystemFigures,
    joined,
    left_out,
    measured,
    served,
)
from ranker.domain.arrays import Doubles, Floats
from ranker.domain.features import title_words, vocabulary_of
from ranker.domain.model import Model
from ranker.domain.report import Protocol
from ranker.learning.evaluation.baselines import ItemToItem
from ranker.learning.evaluation.histories import Histories
from ranker.learning.evaluation.splits import split
from ranker.learning.training.fitting import fitted
from ranker.learning.training.training_data import Given

Say: TypeAlias = Callable[[str], None]
SEED, FIFTHS = 7, 3
LEAST_SUPPORT = 5
"""Minimum number of films with a feature or pair."""
PENALTIES = (200.0, 1_000.0, 5_000.0, 20_000.0)
"""λ of CEASE."""
FEATURE_PENALTIES = (10.0, 50.0, 200.0, 1_000.0)
"""λ of Add-EASE."""
IMPORTANCE = (1.0, 10.0, 100.0)
"""Weight of a feature that two films share, in likings of one shopper (CEASE)."""
WEIGHTS = (0.25, 0.5, 1.0, 2.0)
"""Weights beside the model, whose parts have a size of about 1."""
SIZE = 0.99
"""Quantile of the scores' sizes that becomes 1."""
TASTE, OURS = "`taste`", "`taste` + `content`"
OF_WORDS, ALL_OF_WORDS = f"{OURS} with words", "`taste` with words + `content` with words"
CEASE, ADD_EASE = "CEASE", "Add-EASE"
METHODS = (f"{CEASE} with words", f"{ADD_EASE} with words", CEASE, ADD_EASE)
"""Methods beside the model, those first whose names hold others'."""


def run(say: Say) -> BenchResult:
    """Measure in four minutes, if the data is present."""
    path = movielens.folder()
    if path is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there"
        return BenchResult((), {}, goals({}), warnings=(missing,))
    data = movielens.load(path)
    inside = replace(data, log=split(data.log, Protocol.PER_USER_TAIL, SHARE).before)
    cases: list[SideCase] = []
    for films in islice(left_out(inside, seed=SEED), FIFTHS):
        say(f"fifth {len(cases) + 1} of {FIFTHS}")
        cases.append(SideCase(inside, films, _scores(inside, films)))
    found = {name: _measured(cases, {name: 1.0}) for name in cases[0].scores}
    for method in METHODS:
        mine = {name: _mean(one) for name, one in found.items() if method_of(name) == method}
        alone = max(mine, key=mine.__getitem__)
        say(f"best alone: {alone}")
        for model in (TASTE, OURS):
            for weight in WEIGHTS:
                name = f"{model} + {weight:g} × {alone}"
                found[name] = _measured(cases, {model: 1.0, alone: weight})
    return BenchResult((table(found),), report.figures(_pairs(found)), goals(found))


def features(data: MovieLens) -> Doubles:
    """Return the features and pairs of features of each film, 0 or 1, (films, features)."""
    named = [
        sorted({*one.tags, *(f"{key}={value}" for key, value in one.attributes)})
        for one in data.products
    ]
    return _ones([[*names, *combinations(names, 2)] for names in named], LEAST_SUPPORT)


def words(data: MovieLens) -> Doubles:
    """Return the words of the films' titles, 0 or 1, (films, words)."""
    known = vocabulary_of(data.products)
    named = [[word for word in title_words(one.title) if word in known] for one in data.products]
    return _ones(named, 1)


def _ones(made: Sequence[Sequence[object]], least: int) -> Doubles:
    places: dict[object, int] = {}
    for name in (name for names in made for name in names):
        places.setdefault(name, len(places))
    values = np.zeros((len(made), len(places)))
    for row, names in enumerate(made):
        values[row, [places[name] for name in names]] = 1
    return values[:, values.sum(axis=0) >= least]


def cease(known: Histories, values: Doubles, penalty: float, importance: float) -> ItemToItem:
    """Return CEASE: EASE on the likes, with each feature as one more shopper, who likes the films
    that have it, as often as its importance says."""
    likes = np.zeros((len(known), len(values)))
    likes[known.rows, known.items] = 1
    return _ease(CEASE, likes.T @ likes + importance * values @ values.T, penalty)


def of_features(values: Doubles, penalty: float) -> ItemToItem:
    """Return the share of Add-EASE that films without likes have: EASE on features alone."""
    return _ease(ADD_EASE, values @ values.T, penalty)


def _ease(name: str, gram: Doubles, penalty: float) -> ItemToItem:
    inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return ItemToItem(name, weights)


@dataclass(frozen=True, slots=True)
class SideCase:
    """A fifth of the films and the scores of all variants."""

    data: MovieLens
    films: NewFilms
    scores: Mapping[str, Floats]
    """(shoppers, films) by name; other methods' than the model's are divided by their size."""


@dataclass(frozen=True, slots=True)
class SumOfScores:
    """Scores that are known already."""

    total: Doubles
    name: str = "sum"

    def scores(self, shoppers: Histories) -> Doubles:  # noqa: ARG002 - those of the task
        """Return the scores."""
        return self.total


def _scores(data: MovieLens, films: NewFilms) -> dict[str, Floats]:
    found = {
        name: np.asarray(served(data, one, films.known).scores(films.task.known), np.float32)
        for name, one in _models(data, films).items()
    }
    plain = features(data)
    every = np.hstack([plain, words(data)])
    others = _others(films, plain, "") | _others(films, every, " with words")
    for name, other in others.items():
        scores = other.scores(films.task.known)
        size = float(np.quantile(np.abs(scores[:, films.task.candidates]), SIZE)) or 1.0
        found[name] = np.asarray(scores / size, np.float32)
    return found


def _models(data: MovieLens, films: NewFilms) -> dict[str, Model]:
    """Return the recipe without and with `content`, learned without and with words."""
    given = Given(films.inside, data.products)
    model = fitted(given, replace(RECIPE, title_words=False)).model
    of_words = fitted(given, RECIPE).model
    mixed = replace(model, content=of_words.content, actor_contents=of_words.actor_contents)
    return {
        TASTE: without_content(model),
        OURS: model,
        OF_WORDS: mixed,
        ALL_OF_WORDS: of_words,
    }


def _others(films: NewFilms, values: Doubles, suffix: str) -> dict[str, ItemToItem]:
    """Return CEASE and Add-EASE with all their options."""
    return {
        f"{CEASE}{suffix}, λ {penalty:g}, {importance:g} likes a feature": cease(
            films.known, values, penalty, importance
        )
        for penalty in PENALTIES
        for importance in IMPORTANCE
    } | {
        f"{ADD_EASE}{suffix}, λ {penalty:g}": of_features(values, penalty)
        for penalty in FEATURE_PENALTIES
    }


def _measured(cases: Sequence[SideCase], weights: Mapping[str, float]) -> SystemFigures:
    """Measure a sum of scores on all fifths."""
    each = []
    for case in cases:
        total = sum(
            weight * case.scores[name].astype(np.float64) for name, weight in weights.items()
        )
        scorer = ByLot(SumOfScores(np.asarray(total, np.float64)))
        each.append(measured(case.data, scorer, case.films.task, case.films.known))
    return joined(each)


# The report


def _pairs(found: Mapping[str, SystemFigures]) -> dict[str, report.Pair]:
    """Return each variant beside the recipe."""
    return {name: (found[OURS], one) for name, one in found.items()}


def best(found: Mapping[str, SystemFigures]) -> dict[str, SystemFigures]:
    """Return the variants of the recipe, and the best one by nDCG@10 of each method alone and
    beside either of them: the others are among the figures."""
    chosen: dict[tuple[str, ...], str] = {}
    for name, one in found.items():
        *beside, variant = name.split(" + ")
        method = method_of(variant) or variant
        former = chosen.get((*beside, method))
        if former is None or _mean(found[former]) < _mean(one):
            chosen[*beside, method] = name
    return {name: found[name] for name in chosen.values()}


def method_of(name: str) -> str | None:
    """Return the method beside the model that a variant has; None if it has the model alone."""
    return next((each for each in METHODS if each in name), None)


def _mean(one: SystemFigures) -> float:
    return float(one.by_shopper[NDCG].mean())


def table(found: Mapping[str, SystemFigures]) -> BenchTable:
    """Return the table, a row for each of the best variants."""
    return BenchTable(
        "New films by item-to-item weights with side features",
        ("variant", NDCG, "difference to the recipe without words", AUC, "difference"),
        tuple(
            (
                name,
                *(
                    cell
                    for metric in (NDCG, AUC)
                    for cell in (
                        f"{one.by_shopper[metric].mean():.4f}",
                        _shown(report.gain((found[OURS], one), metric)),
                    )
                ),
            )
            for name, one in best(found).items()
        ),
        f"MovieLens-100k, validation: three fifths of the films, {_count(found):,} shoppers, ties"
        " at random; differences are paired by shopper, with 95% intervals. Best by nDCG@10 of"
        f" {len(found)} variants; weights × scores of a size of 1.",
        section=None,
    )


def goals(found: Mapping[str, SystemFigures]) -> tuple[Goal, ...]:
    """Return the condition under which a method is taken: all of its gain over the recipe without
    words is above 0. NOT MEASURED without data."""
    made = []
    for method in (*METHODS[2:], *METHODS[:2]):
        for metric in (NDCG, AUC):
            gains = [
                report.gain((found[OURS], one), metric)
                for name, one in found.items()
                if name.startswith(f"{OURS} + ") and method_of(name) == method
            ]
            best = max(gains, key=lambda one: one.value, default=None)
            name = f"new films, {metric}: {method} beside the recipe, best weight"
            made.append(Goal(name, None, "", best, at_least=1e-9))
    for variant in (OF_WORDS, ALL_OF_WORDS):
        for metric in (NDCG, AUC):
            gain = report.gain((found[OURS], found[variant]), metric) if variant in found else None
            name = f"new films, {metric}: {variant} in place of the recipe"
            made.append(Goal(name, None, "", gain, at_least=1e-9))
    return tuple(made)


def _count(found: Mapping[str, SystemFigures]) -> int:
    return len(found[OURS].by_shopper[NDCG])


def _shown(one: Interval) -> str:
    return f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
