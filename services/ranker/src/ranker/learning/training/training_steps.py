"""The steps of a training: choose on validation, measure on held-out events, fit on all events.

::

    events by time  |---------- before ----------|-- validation --|-- evaluation --|
    search, ablation    fitted                       asked
    evaluation          fitted ---------------------------------------- asked
    the model           fitted ----------------------------------------------------

All choices are made on events before those of the evaluation, which are used once.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from ranker.domain.errors import DataInsufficient
from ranker.domain.log import EventColumns
from ranker.domain.model import Model, ModelMetric
from ranker.domain.recipe import Recipe
from ranker.domain.report import Protocol, ProvenMargin, Report
from ranker.learning.evaluation.evaluate import (
    CANDIDATE,
    REGULARS,
    EvaluationOptions,
    Production,
    evaluate,
)
from ranker.learning.evaluation.splits import split_globally
from ranker.learning.training.ablation import STYLE, BlendChoice, ablate, of_products
from ranker.learning.training.blend import choose
from ranker.learning.training.describing import described
from ranker.learning.training.fitting import Fitted, Progress, fitted
from ranker.learning.training.learning import ImpressionFit
from ranker.learning.training.recipe_validation import SHARE, Validation, validation
from ranker.learning.training.refit import State, refitted
from ranker.learning.training.search import Budget, search
from ranker.learning.training.training_data import Given, check
from ranker.serving.ranking.parts import CONTENT

NO_SEARCH = Budget(0, 0.0)


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """A requested training."""

    recipe: Recipe
    """With a base, the base's recipe."""
    budget: Budget = NO_SEARCH
    ablation: bool = True
    """If true, measures what each part adds and turns off parts that add nothing."""
    attributes: bool = True
    """True if attributes of shoppers are used."""
    base: State | None = None
    """State from which to continue; `None`: a full training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(BlendChoice):
    """A trained model with its recipe and results. The recipe is as chosen on events before those
    of the evaluation: what the model learned from all events is in the model alone."""

    fitted: Fitted
    learned: ImpressionFit | None
    """Results learned from impressions; `None` if there were no recorded answers."""
    report: Report


def train(
    given: Given,
    order: TrainingOrder,
    production: Production | None,
    progress: Progress,
    now_micros: int,
    *,
    proven: tuple[ProvenMargin, ...] = (),
) -> Trained:
    """Execute all steps. `proven`: what promoted models have shown. Raises DataInsufficient,
    TrainingDiverged."""
    check(given, order.recipe)
    steps = _Steps(progress, order)
    chosen = _choose(given, order, steps)
    given = given if chosen.attributes else replace(given, attributes={})
    share = _share(given.log, order.base)

    def fit(log: EventColumns, heard: Progress) -> Fitted:
        if order.base is not None:
            return refitted(given.at(log), order.base, heard)
        return fitted(given.at(log), chosen.recipe, heard)

    report = evaluate(
        given.log,
        given.products,
        lambda log: as_served(fit(log, steps.fit()), given, log, chosen.recipe)[0].model,
        production,
        EvaluationOptions(
            protocols=(Protocol.GLOBAL,), share=share, proven=proven, recipe=chosen.recipe
        ),
        progress=lambda *_: None,  # measuring takes little time compared with fitting
        now_micros=now_micros,
    )
    made, learned = as_served(fit(given.log, steps.last()), given, given.log, chosen.recipe)
    model = described(made.model, given.products, made.interests, chosen.recipe.seed)
    made = replace(made, model=model)
    for part, explained in ((STYLE, made.explained), (CONTENT, made.described)):
        if explained is not None:
            chosen = replace(chosen, additions=(*chosen.additions, of_products(part, explained)))
    known = {one.name: getattr(chosen, one.name) for one in fields(chosen)}
    return Trained(**known, fitted=made, learned=learned, report=report)


def as_served(
    made: Fitted, given: Given, log: EventColumns, recipe: Recipe
) -> tuple[Fitted, ImpressionFit | None]:
    """Return the model, fitted on `log`, with blend and calibrations learned from answers served
    during these events, and what was learned; evaluation uses later answers and events."""
    if given.shown is None:
        return made, None
    learned = given.shown.learned(recipe.blend, int(log.time[-1]) + 1, seed=recipe.seed)
    model = replace(
        made.model,
        blend=dict(learned.blend.weights),
        calibration=learned.calibration,
        purchases=learned.purchases,
        purchases_per_click=learned.purchases_per_click,
        examination=learned.by_place,
    )
    return replace(made, model=model), learned


def _share(log: EventColumns, base: State | None) -> float:
    """Return the share of events to hold out; DataInsufficient. A continued model is measured
    on the newer half of its new events, as it has seen all others."""
    if base is None:
        return SHARE
    new = len(log) - int(np.searchsorted(log.time, base.last_event_micros, "right"))
    if not new:
        raise DataInsufficient(
            "there are no events after those that the serving model was trained on"
        )
    return min(SHARE, new / len(log) / 2)


def _choose(given: Given, order: TrainingOrder, steps: "_Steps") -> BlendChoice:
    """Return the choices of the validation, made on events that the evaluation does not use."""
    if order.base is not None or not (order.budget.trials or order.ablation):
        return BlendChoice(order.recipe, order.attributes)
    inside = given.at(split_globally(given.log, SHARE).before)
    try:
        measured = validation(inside, order.recipe)
        return _chosen(measured, order, steps)
    except DataInsufficient:  # too little data to choose: the given recipe is used
        return BlendChoice(order.recipe, order.attributes)


def _chosen(measured: Validation, order: TrainingOrder, steps: "_Steps") -> BlendChoice:
    model = measured.fitted(order.recipe, steps.fit())

    def fit(recipe: Recipe, with_attributes: bool = True) -> Model:
        """Fit a recipe; only LightFM's part differs between recipes here."""
        return measured.fitted(recipe, steps.fit(), with_attributes=with_attributes, beside=model)

    def score(recipe: Recipe) -> float:
        return float(measured.gains(fit(recipe)).mean())

    found, trials = search(score, order.recipe, order.budget)
    if not order.ablation:
        return BlendChoice(found, order.attributes, trials)
    best = fit(found) if trials else model
    blend = choose(measured.cases(best), found.blend, seed=found.seed)
    best = replace(best, blend=dict(blend.weights))
    return replace(ablate(measured, replace(found, blend=blend), best, fit), trials=trials)


def metrics_of(report: Report) -> tuple[ModelMetric, ...]:
    """Return the figures for lists of models: those of regular shoppers, with popularity's."""
    found = []
    for system in report.trials[0].systems if report.trials else ():
        prefix = {CANDIDATE: "", "popularity": "popularity_"}.get(system.name)
        if prefix is not None:
            found += [
                ModelMetric(prefix + figure.name, figure.value, figure.sample_count)
                for part in system.slices
                if part.name == REGULARS
                for figure in part.figures
                if figure.name in SHOWN
            ]
    return tuple(found)


SHOWN = ("hit@10", "ndcg@10", "auc", "coverage@10")

FITS_OF_ABLATION = 6
"""Maximum number of fits of an ablation: as given, as found, and without each kind of features."""


class _Steps:
    """Reports the progress of a training in epochs, by an estimate of the number of fits."""

    def __init__(self, progress: Progress, order: TrainingOrder) -> None:
        self._progress = progress
        self._epochs = order.recipe.epochs
        fits = 2  # evaluation's and the last one
        if order.base is None:
            fits += order.budget.trials + FITS_OF_ABLATION * order.ablation
        self._total = fits * self._epochs
        self._begun = 0

    def fit(self) -> Progress:
        """Return the progress of the next fit; there may be more or fewer than expected."""
        begun = min(self._begun, self._total - 2 * self._epochs)
        self._begun = begun + self._epochs
        return self._from(begun)

    def last(self) -> Progress:
        return self._from(self._total - self._epochs)

    def _from(self, begun: int) -> Progress:
        def heard(done: int, total: int) -> None:
            self._progress(begun + round(self._epochs * done / total), self._total)

        return heard
