"""Use case: measure a training procedure on held-out events, against production and baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from ranker.domain.arrays import Doubles, Ints, indicators
from ranker.domain.errors import DataInsufficient
from ranker.domain.features import Product, feature_names
from ranker.domain.log import EventColumns
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.domain.report import (
    HELD_OUT,
    POPULARITY,
    UNTRAINED,
    Exposure,
    Figure,
    FigureSlice,
    ProductionAs,
    Protocol,
    ProvenMargin,
    Report,
    SplitReport,
    System,
    SystemComparison,
    SystemKind,
    best_margin,
)
from ranker.learning.evaluation import (
    baselines,
    bootstrap,
    metrics,
    systems,
    tuning,
    verdict,
)
from ranker.learning.evaluation.baselines import Scorer
from ranker.learning.evaluation.metrics import Lists
from ranker.learning.evaluation.splits import (
    EventSplit,
    SplitQuestions,
    Task,
    most_shoppers,
    split,
    tasks,
)

RECIPE = Recipe(attribute_keys=())

Fit = Callable[[EventColumns], Model]
"""Trains a model of the same products on these events only; raises DataInsufficient."""
Progress = Callable[[int, int], None]
"""(systems measured, systems in all)"""

CANDIDATE, PRODUCTION = "candidate", "production"
REGULARS, NEW_SHOPPERS, NEW_ITEMS = "regulars", "new_shoppers", "new_items"
MOST_SHOPPERS = 10_000
"""Maximum number of shoppers that are measured: larger sets are sampled."""
MOST_BRANDS = 20
LIFT = f"popularity_lift@{metrics.LISTED}"


@dataclass(frozen=True, slots=True)
class Production:
    """The serving model, to be compared with."""

    version: str
    model: Model
    last_event_micros: int
    """Time of the newest event in its training."""
    fit: Fit
    """Its recipe."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    protocols: tuple[Protocol, ...] = (Protocol.GLOBAL, Protocol.PER_USER_TAIL)
    """The first one is decisive."""
    share: float = HELD_OUT
    """Share of the events that are held out."""
    margin: float = verdict.MARGIN
    """Tolerated deficit, as a share of production's figure."""
    proven: tuple[ProvenMargin, ...] = ()
    """Proven margins of promoted models."""
    recipe: Recipe = RECIPE
    """Determines interests, features for diversity, and the seed of resampling and of sampling
    shoppers."""


def evaluate(
    log: EventColumns,
    products: Sequence[Product],
    fit: Fit,
    production: Production | None,
    options: EvaluationOptions,
    *,
    progress: Progress,
    now_micros: int,
) -> Report:
    """Measure by each protocol the model that `fit` trains on the earlier part, production and the
    baselines, all with the same histories and wanted products.

    The procedure `fit` is measured instead of a finished model, because a model fitted on all
    events has seen the held-out ones. Held-out events are used once; `fit` makes all choices on
    earlier events.
    """
    products = sorted(products, key=lambda product: product.product_id)
    trials, seen_as = [], ProductionAs.NONE
    for place, protocol in enumerate(options.protocols):
        bench = _Bench(split(log, protocol, options.share), products, options)
        rival, as_what = _rival(production, bench.split)
        if place == 0:
            seen_as = as_what
        trials.append(bench.run(fit, rival, progress, (place, len(options.protocols))))
    decisive = trials[0]
    count = _shopper_count(decisive)
    found, why = verdict.decide(decisive.comparisons, count)
    return Report(
        verdict=found,
        summary=why,
        trials=tuple(trials),
        production=production.version if production else "",
        production_as=seen_as,
        shopper_count=count,
        evaluated_micros=now_micros,
        findings=verdict.findings(decisive),
    )


def _rival(production: Production | None, made: EventSplit) -> tuple[Fit | None, ProductionAs]:
    """Return production as a system that has not seen the held-out events."""
    if production is None:
        return None, ProductionAs.NONE
    moment = made.moment_micros
    if moment is not None and production.last_event_micros < moment:
        model = production.model
        return lambda _: model, ProductionAs.ARTIFACT
    return production.fit, ProductionAs.REFITTED


class _Bench:
    """One split on which systems are measured one after another."""

    def __init__(
        self, made: EventSplit, products: Sequence[Product], options: EvaluationOptions
    ) -> None:
        self.split = made
        self._products = products
        self._options = options
        asked = tasks(made, [product.product_id for product in products], options.recipe.signals)
        self._tasks = _bounded(asked, len(products), options.recipe.seed)
        self._features = features_of(products, options.recipe.attribute_keys)

    def run(
        self, fit: Fit, rival: Fit | None, progress: Progress, place: tuple[int, int]
    ) -> SplitReport:
        """Measure all systems; `place`: index of this split, and number of splits."""
        simple = tuning.fit_all(self._tasks.training, len(self._products))
        fits = {CANDIDATE: fit} if rival is None else {CANDIDATE: fit, PRODUCTION: rival}
        total = len(fits) + len(simple)
        measured: list[System] = []
        deciding: dict[str, Doubles] = {}

        def take(scorer: Scorer, kind: SystemKind, settings: str = "") -> None:
            system, by_shopper = self._measure(scorer, kind)
            measured.append(replace(system, settings=settings))
            if by_shopper is not None:
                deciding[system.name] = by_shopper
            progress(place[0] * total + len(measured), place[1] * total)

        candidate: Scorer | None = None
        popular = baselines.popularity(self._tasks.training, len(self._products))
        for name, make in fits.items():
            try:
                model = make(self.split.before)
            except DataInsufficient:
                continue
            kind = SystemKind.CANDIDATE if name == CANDIDATE else SystemKind.PRODUCTION
            served = systems.served(name, model, self._products, popular)
            candidate = served if name == CANDIDATE else candidate
            take(served, kind)
        for one in simple:
            take(one.scorer, SystemKind.BASELINE, one.settings)
        return SplitReport(
            protocol=self.split.protocol,
            share=self.split.share,
            moment_micros=self.split.moment_micros,
            events_before=len(self.split.before),
            events_after=len(self.split.after),
            product_count=len(self._products),
            systems=tuple(measured),
            comparisons=self._comparisons(
                deciding, decisive=place[0] == 0 and fits.keys() <= deciding.keys()
            ),
            order_tests=self._order_tests(candidate, deciding),
        )

    def _order_tests(
        self, candidate: Scorer | None, figures: Mapping[str, Doubles]
    ) -> tuple[SystemComparison, ...]:
        """Compare systems with themselves on shuffled histories: the candidate, asked with them,
        and sequential rules, trained on them too. Positive differences: order helps."""
        if candidate is None or candidate.name not in figures:
            return ()
        seed, asked = self._options.recipe.seed, self._tasks.regulars
        training = self._tasks.training.shuffled(seed)
        rules = baselines.sequential_rules(training, len(self._products))
        task = replace(asked, known=asked.known.shuffled(seed))
        found = []
        for scorer in (candidate, rules):
            gains = metrics.accuracy(systems.lists(scorer, task), metrics.LISTED)[verdict.METRIC]
            found.append(
                verdict.compare(
                    *(scorer.name, figures[scorer.name], gains),
                    margin=0.0,
                    decides=False,
                    seed=seed,
                )
            )
        return tuple(found)

    def _comparisons(
        self, figures: Mapping[str, Doubles], *, decisive: bool
    ) -> tuple[SystemComparison, ...]:
        """Compare the candidate with each other system; only a `decisive` split determines the
        verdict."""
        if CANDIDATE not in figures:
            return ()
        found = [
            verdict.compare(
                name,
                figures[CANDIDATE],
                values,
                margin=self._options.margin if name == PRODUCTION else 0.0,
                decides=decisive and name in (PRODUCTION, POPULARITY, UNTRAINED),
                seed=self._options.recipe.seed,
            )
            for name, values in figures.items()
            if name != CANDIDATE
        ]
        best = best_margin(self._options.proven, self._options.share)
        if decisive and best is not None:
            found.append(
                verdict.compare_with_best(
                    *(figures[CANDIDATE], figures[POPULARITY], best),
                    margin=self._options.margin,
                    seed=self._options.recipe.seed,
                )
            )
        return tuple(found)

    def _measure(self, scorer: Scorer, kind: SystemKind) -> tuple[System, Doubles | None]:
        """Return the system's figures, and the decisive metric by regular shopper; None without
        regulars."""
        slices, regulars, deciding = [], None, None
        for name, task in {
            REGULARS: self._tasks.regulars,
            NEW_SHOPPERS: self._tasks.newcomers,
            NEW_ITEMS: self._tasks.new_items,
        }.items():
            if not len(task.known):
                slices.append(FigureSlice(name, ()))
                continue
            lists = systems.lists(scorer, task)
            found = metrics.by_shopper(lists, self._tasks.training, self._features)
            if name == REGULARS:
                regulars, deciding = lists, found[verdict.METRIC]
            lift = metrics.popularity_lift(lists, task.known, self._tasks.training)
            whole = metrics.of_all_lists(lists, task.candidates) | {LIFT: lift}
            slices.append(
                FigureSlice(
                    name, _figures(found, whole, len(task.known), self._options.recipe.seed)
                )
            )
        exposures = () if regulars is None else self._exposures(regulars)
        return System(scorer.name, kind, tuple(slices), exposures), deciding

    def _exposures(self, lists: Lists) -> tuple[Exposure, ...]:
        """Return the brands with most places, then all others as one."""
        brands = sorted({product.brand for product in self._products if product.brand})
        codes = {brand: code for code, brand in enumerate(brands)} | {"": len(brands)}
        groups: Ints = np.array([codes[product.brand] for product in self._products])
        wanted = groups[self._tasks.regulars.wanted.items]
        columns = np.stack(
            [
                metrics.exposure(lists, groups, len(codes)),
                np.bincount(groups, minlength=len(codes)) / len(groups),
                np.bincount(wanted, minlength=len(codes)) / max(len(wanted), 1),
            ],
            axis=1,
        )
        order = np.argsort(-columns[:-1, 0], kind="stable")
        rows = [Exposure(brands[code], *columns[code].tolist()) for code in order[:MOST_BRANDS]]
        others = columns[order[MOST_BRANDS:]].sum(axis=0) + columns[-1]
        return (*rows, Exposure("", *others.tolist())) if others[1] > 0 else tuple(rows)


def features_of(products: Sequence[Product], attribute_keys: Sequence[str]) -> sp.csr_matrix:
    """Return feature rows of length 1, (products, features), without the products' own ids."""
    named = [feature_names(product, attribute_keys)[1:] for product in products]
    names, starts, places = indicators(named)
    values = [1 / np.sqrt(len(row)) for row in named for _ in row]
    return sp.csr_matrix((values, places, starts), (len(products), max(len(names), 1)))


def _figures(
    found: Mapping[str, Doubles], whole: Mapping[str, float], count: int, seed: int
) -> tuple[Figure, ...]:
    made = bootstrap.intervals(np.stack(list(found.values()), axis=1), seed=seed)
    means = zip(found, made.mean.tolist(), made.low.tolist(), made.high.tolist(), strict=True)
    return (
        *(Figure(name, mean, low, high, count) for name, mean, low, high in means),
        *(Figure(name, value, None, None, count) for name, value in whole.items()),
    )


def _bounded(asked: SplitQuestions, items: int, seed: int) -> SplitQuestions:
    """Return the task for a random sample of as many shoppers as can be scored."""
    most = most_shoppers(items, MOST_SHOPPERS)
    generator = np.random.default_rng(seed)

    def some(task: Task) -> Task:
        if len(task.known) <= most:
            return task
        return task.at(np.sort(generator.choice(len(task.known), most, replace=False)))

    kinds = ("regulars", "newcomers", "new_items", "ongoing")
    fewer: dict[str, Any] = {kind: some(getattr(asked, kind)) for kind in kinds}
    return replace(asked, **fewer)


def _shopper_count(trial: SplitReport) -> int:
    """Return the number of measured regular shoppers."""
    counts = (
        figure.sample_count
        for system in trial.systems
        for part in system.slices
        for figure in part.figures
        if part.name == REGULARS
    )
    return next(counts, 0)
