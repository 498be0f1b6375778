"""A sequence model (SASRec) beside the ranker's recipe and baselines, on MovieLens-100k.

On validation: the training part of each protocol of `quality` is split again by the same protocol.
The model's length, dropout (by tails, for both) and epochs, and its weight beside the recipe, are
chosen on a split of the earlier part of those; then it is trained on all of the earlier part and
measured once on the later one. The recipe and its weights were chosen on these validation parts, so
its figures are slightly optimistic. Held-out test parts are not read.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.datasets.movielens import RECIPE, SIGNALS, MovieLens
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from lab.cases.quality import SHARE, served
from lab.peers import sasrec
from lab.peers.sasrec import SasRec, SasRecOptions, TrainingCourse
from ranker.domain.arrays import Doubles
from ranker.domain.log import EventColumns
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.domain.report import Protocol
from ranker.learning.evaluation import baselines, metrics, tuning
from ranker.learning.evaluation.baselines import Scorer
from ranker.learning.evaluation.bootstrap import intervals
from ranker.learning.evaluation.histories import Histories, histories_of
from ranker.learning.evaluation.splits import SplitQuestions, Task, split, tasks
from ranker.learning.training.blend import choose
from ranker.learning.training.fitting import fitted
from ranker.learning.training.recipe_validation import Validation
from ranker.learning.training.training_data import Given
from ranker.serving.ranking.parts import ITEM_ITEM, TASTE

GRID = tuple(product((50, 100, 200), (0.2, 0.5)))
"""Lengths and dropouts that are tried."""
SEEDS = (0, 1, 2)
SHUFFLE_SEED = 0
WEIGHTS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Weights of the model's scores, of a variance of 1 by shopper, beside the recipe's."""
SHARES = (0.25, 0.5, 1.0)
"""Shares of the shoppers to train on, to see how the difference to the recipe depends on size."""
ANSWERS = 100
"""Shoppers whose answers are timed, one at a time."""
OURS, LIGHTFM, SASREC = "Sightline", "LightFM alone (`taste`)", "SASRec"
BESIDE, INSTEAD = "Sightline + SASRec", "Sightline, SASRec in place of `item_item`"
EASE = "EASE"
RIVALS = ((SASREC, OURS), (SASREC, EASE), (BESIDE, OURS), (INSTEAD, OURS))
"""Systems and those whose nDCG@10 they have to exceed."""
TAILS = "tails: 20% of each shopper's events"
MIDDLE = "global: everybody, in the middle"
REGULARS = "global: regulars"
TASKS = (TAILS, MIDDLE, REGULARS)

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SequenceChoice:
    """Outcome of the choices on the inner split of a protocol."""

    protocol: Protocol
    tried: tuple[tuple[SasRecOptions, int, float], ...]
    """Options, best epoch, and nDCG@10 there."""
    options: SasRecOptions
    """The best, with its number of epochs."""
    weights: Mapping[str, float]
    """Weight of the model by BESIDE and INSTEAD."""
    recipe: Recipe
    """The recipe with the best blend there."""


@dataclass(frozen=True, slots=True)
class SequenceCosts:
    """Processor time of a system."""

    training_seconds: float
    answer_ms: float
    """Median time of scoring all products for one shopper."""


@dataclass(slots=True)
class SequenceFigures:
    """All figures of the bench."""

    choices: list[SequenceChoice] = field(default_factory=list)
    gains: dict[str, dict[str, Doubles]] = field(default_factory=dict)
    """nDCG@10 by task, system and shopper; SASRec's: mean of SEEDS."""
    shuffled: dict[str, dict[str, Doubles]] = field(default_factory=dict)
    """nDCG@10 when asked with shuffled histories; sequential rules are trained on such, too."""
    events: dict[str, int] = field(default_factory=dict)
    """Training events by task."""
    sizes: dict[int, tuple[Doubles, Doubles]] = field(default_factory=dict)
    """nDCG@10 by tails of the recipe and of SASRec, by number of training events."""
    costs: dict[str, SequenceCosts] = field(default_factory=dict)
    """By system, trained on the earlier part of the tails."""


def run(say: Say) -> BenchResult:
    """Measure in a quarter of an hour, if the data is present."""
    path = movielens.folder()
    if path is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there"
        return BenchResult((), {}, goals(SequenceFigures()), warnings=(missing,))
    data, found = movielens.load(path), SequenceFigures()
    for protocol in (Protocol.PER_USER_TAIL, Protocol.GLOBAL):
        training_part = split(data.log, protocol, SHARE).before
        outer = split(training_part, protocol, SHARE)
        grid = [SasRecOptions(length=length, dropout=dropout) for length, dropout in GRID]
        if found.choices:
            grid = [replace(found.choices[0].options, most_epochs=SasRecOptions().most_epochs)]
        choice = chosen(data, outer.before, protocol, grid, say)
        found.choices.append(choice)
        asked = _tasks(data, training_part, protocol)
        say(f"{protocol}: training on {len(outer.before):,} events with {len(SEEDS)} seeds")
        _measure(data, outer.before, asked, choice, found)
        for (task, each), (name, rival) in product(found.gains.items(), RIVALS):
            ahead = _mean(each[name] - each[rival]).shown(sign=True)
            say(f"{task}: {name} minus {rival}: {ahead}")
        if protocol is Protocol.PER_USER_TAIL:
            say("fewer shoppers in the training")
            found.sizes = by_size(data, outer.before, asked.regulars, choice)
    return BenchResult(tables(found), figures(found), goals(found))


def _rows(data: MovieLens) -> dict[str, int]:
    return {one.product_id: row for row, one in enumerate(data.products)}


def _tasks(data: MovieLens, log: EventColumns, protocol: Protocol) -> SplitQuestions:
    return tasks(split(log, protocol, SHARE), list(_rows(data)), SIGNALS)


# Choices


def chosen(
    data: MovieLens,
    log: EventColumns,
    protocol: Protocol,
    grid: Sequence[SasRecOptions],
    say: Say,
) -> SequenceChoice:
    """Choose options, epochs and weights on a split of these events."""
    asked = _tasks(data, log, protocol)
    task = asked.ongoing if protocol is Protocol.GLOBAL else asked.regulars
    courses: list[TrainingCourse] = []
    for options in grid:
        course = _course(asked.training, task, len(data.products), options)
        say(
            f"{protocol}: length {options.length}, dropout {options.dropout:g}: "
            f"{_best(course):.4f} after {course.epochs} epochs"
        )
        courses.append(course)
    best = max(courses, key=_best)
    given = Given(split(log, protocol, SHARE).before, data.products)
    model = fitted(given, RECIPE).model
    recipe = replace(RECIPE, blend=choose(Validation(given, task).cases(model), RECIPE.blend))
    model = replace(model, blend=recipe.blend.weights)
    ours = {
        name: served(data, one, asked.training).scores(task.known)
        for name, one in ((BESIDE, model), (INSTEAD, _without(model, ITEM_ITEM)))
    }
    return SequenceChoice(
        protocol,
        tuple((one.model.options, one.epochs, _best(one)) for one in courses),
        replace(best.model.options, most_epochs=best.epochs),
        best_weights(ours, best.model.scores(task.known), task),
        recipe,
    )


def best_weights(ours: Mapping[str, Doubles], theirs: Doubles, task: Task) -> dict[str, float]:
    """Return for each of our scores the weight of `theirs` with the highest nDCG@10."""
    added, found = standardized(theirs), {}
    for name, own in ours.items():
        tried = {one: gains(own + one * added, task).mean() for one in WEIGHTS}
        found[name] = max(tried, key=tried.__getitem__)
    return found


def _course(
    training: Histories, task: Task, item_count: int, options: SasRecOptions
) -> TrainingCourse:
    """Train until nDCG@10 of the task no longer rises."""
    return sasrec.fit(
        training,
        item_count,
        options,
        lambda model: float(gains(model.scores(task.known), task).mean()),
    )


def _best(course: TrainingCourse) -> float:
    return max(figure for _, figure in course.measured)


def _without(model: Model, part: str) -> Model:
    return replace(model, blend={name: one for name, one in model.blend.items() if name != part})


def standardized(scores: Doubles) -> Doubles:
    """Return scores with a mean of 0 and a variance of 1 for each shopper."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    made: Doubles = centred / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
    return made


def gains(scores: Doubles, task: Task) -> Doubles:
    """Return nDCG@10 by these scores, (shoppers,)."""
    lists = metrics.order(scores, task.known, task.wanted, task.candidates)
    return metrics.accuracy(lists, metrics.LISTED)[metrics.DECISIVE]


# Measurements


@dataclass(frozen=True, slots=True)
class SequenceSystems:
    """Trained systems of a protocol."""

    scorers: Mapping[str, Scorer]
    sequences: Sequence[SasRec]
    """SASRec by seed."""
    mixed: Mapping[str, tuple[Scorer, float]]
    """By BESIDE and INSTEAD: the served model, and the weight of SASRec beside it."""
    shuffled_rules: Scorer

    def gains(self, task: Task) -> dict[str, Doubles]:
        """Return nDCG@10 by system, each (shoppers,)."""
        found = {name: gains(_scores(one, task), task) for name, one in self.scorers.items()}
        each = [one.scores(task.known) for one in self.sequences]
        found[SASREC] = np.mean([gains(scores, task) for scores in each], axis=0)
        for name, (ours, weight) in self.mixed.items():
            own = _scores(ours, task)
            mixed = [gains(own + weight * standardized(scores), task) for scores in each]
            found[name] = np.mean(mixed, axis=0)
        return found

    def shuffled(self, task: Task) -> dict[str, Doubles]:
        """Return nDCG@10 with shuffled histories of the systems that use the order."""
        asked = replace(task, known=task.known.shuffled(SHUFFLE_SEED))
        each = [gains(one.scores(asked.known), asked) for one in self.sequences]
        return {
            OURS: gains(_scores(self.scorers[OURS], asked), asked),
            SASREC: np.mean(each, axis=0),
            self.shuffled_rules.name: gains(_scores(self.shuffled_rules, asked), asked),
        }


def _scores(scorer: Scorer, task: Task) -> Doubles:
    return np.asarray(scorer.scores(task.known), np.float64)


def _measure(
    data: MovieLens,
    log: EventColumns,
    asked: SplitQuestions,
    choice: SequenceChoice,
    found: SequenceFigures,
) -> None:
    """Train all systems on `log`, and measure them on the protocol's tasks."""
    spent: dict[str, float] = {}
    made = _trained(data, log, asked.training, choice, spent)
    tails = choice.protocol is Protocol.PER_USER_TAIL
    named = {TAILS: asked.regulars} if tails else {MIDDLE: asked.ongoing, REGULARS: asked.regulars}
    for name, task in named.items():
        found.gains[name] = made.gains(task)
        found.shuffled[name] = made.shuffled(task)
        found.events[name] = len(log)
    if tails:
        timed = {**{name: made.scorers[name] for name in (OURS, EASE)}, SASREC: made.sequences[0]}
        found.costs = {
            name: SequenceCosts(spent[name], _answer_ms(one, asked.regulars.known))
            for name, one in timed.items()
        }


def by_size(
    data: MovieLens, log: EventColumns, task: Task, choice: SequenceChoice
) -> dict[int, tuple[Doubles, Doubles]]:
    """Train on the events of random shares of the shoppers, with the number of epochs chosen on
    theirs, and measure on all shoppers."""
    order = np.random.default_rng(SEEDS[0]).permutation(len(log.actors))
    found, count, options = {}, len(data.products), choice.options
    for share in SHARES:
        some = log.part(np.isin(log.actor, order[: int(len(order) * share)]))
        inner = _tasks(data, some, Protocol.PER_USER_TAIL)
        course = _course(
            inner.training,
            inner.regulars,
            count,
            replace(options, most_epochs=SasRecOptions().most_epochs),
        )
        training = histories_of(some, _rows(data), SIGNALS)
        fixed = replace(options, most_epochs=course.epochs)
        model = fitted(Given(some, data.products), choice.recipe).model
        found[len(some)] = (
            gains(_scores(served(data, model, training), task), task),
            gains(sasrec.fit(training, count, fixed).model.scores(task.known), task),
        )
    return found


def _trained(
    data: MovieLens,
    log: EventColumns,
    training: Histories,
    choice: SequenceChoice,
    spent: dict[str, float],
) -> SequenceSystems:
    """Train all systems; `spent` gets the processor time in seconds of some."""
    count, began = len(data.products), time.process_time()
    model = fitted(Given(log, data.products), choice.recipe).model
    spent[OURS] = time.process_time() - began
    began = time.process_time()
    baselines.ease(training, count)
    spent[EASE] = time.process_time() - began
    began = time.process_time()
    each = [sasrec.fit(training, count, replace(choice.options, seed=seed)).model for seed in SEEDS]
    spent[SASREC] = (time.process_time() - began) / len(SEEDS)
    ours = served(data, model, training)
    less = served(data, _without(model, ITEM_ITEM), training)
    alone = served(data, replace(model, blend={TASTE: 1.0}), training)
    simple = {one.scorer.name: one.scorer for one in tuning.fit_all(training, count)}
    return SequenceSystems(
        {OURS: ours, LIGHTFM: alone, **simple},
        each,
        {BESIDE: (ours, choice.weights[BESIDE]), INSTEAD: (less, choice.weights[INSTEAD])},
        baselines.sequential_rules(training.shuffled(SHUFFLE_SEED), count),
    )


def _answer_ms(scorer: Scorer, shoppers: Histories) -> float:
    """Return the median processor time of the scores for one shopper, in milliseconds."""
    took = []
    for row in range(min(ANSWERS, len(shoppers))):
        one = shoppers.take([row])
        began = time.process_time()
        scorer.scores(one)
        took.append(time.process_time() - began)
    return 1e3 * percentile(took, 0.5).value


# The report


def tables(found: SequenceFigures) -> tuple[BenchTable, ...]:
    """Return the tables of systems, choices, order, sizes and costs."""
    return (
        _systems_table(found),
        _choices_table(found.choices),
        _order_table(found),
        _sizes_table(found.sizes),
        _costs_table(found.costs),
    )


def _systems_table(found: SequenceFigures) -> BenchTable:
    rows = tuple(
        (
            task,
            name,
            _mean(one).shown(),
            "" if name == OURS else _mean(one - each[OURS]).shown(sign=True),
            "" if name == EASE else _mean(one - each[EASE]).shown(sign=True),
        )
        for task, each in found.gains.items()
        for name, one in each.items()
    )
    counts = "; ".join(
        f"{task}: {len(each[OURS]):,} shoppers, {found.events[task]:,} training events"
        for task, each in found.gains.items()
    )
    return BenchTable(
        "A sequence model",
        ("validation", "system", "nDCG@10", "minus Sightline", "minus EASE"),
        rows,
        f"MovieLens-100k, {counts}. 95% intervals (BCa, over shoppers; differences are paired)."
        f" SASRec: mean of {len(SEEDS)} seeds.",
    )


def _choices_table(choices: Sequence[SequenceChoice]) -> BenchTable:
    rows = tuple(
        (
            str(choice.protocol),
            f"{options.length}",
            f"{options.dropout:g}",
            f"{epochs}",
            f"{figure:.4f}",
        )
        for choice in choices
        for options, epochs, figure in choice.tried
    )
    weights = "; ".join(
        f"{choice.protocol}: "
        + ", ".join(f"{name} {weight:g}" for name, weight in choice.weights.items())
        for choice in choices
    )
    usual = SasRecOptions()
    return BenchTable(
        "SASRec's options",
        ("protocol", "length", "dropout", "epochs", "nDCG@10"),
        rows,
        f"By a split of the training events of the table above. One block, {usual.width}"
        f" dimensions, {usual.negatives} negatives a batch by popularity with log-Q correction,"
        f" Adam at {usual.rate:g}, batches of {usual.batch:,} positions, early stopping."
        f" Weights: {weights}.",
    )


def _order_table(found: SequenceFigures) -> BenchTable:
    rows = tuple(
        (
            task,
            name,
            _mean(found.gains[task][name]).shown(),
            _mean(one).shown(),
            _mean(found.gains[task][name] - one).shown(sign=True),
        )
        for task, each in found.shuffled.items()
        for name, one in each.items()
    )
    return BenchTable(
        "Does order matter?",
        ("validation", "system", "nDCG@10 in order", "with shuffled histories", "difference"),
        rows,
        "All are asked with shuffled histories; sequential rules learn from them, too.",
    )


def _sizes_table(sizes: Mapping[int, tuple[Doubles, Doubles]]) -> BenchTable:
    rows = tuple(
        (
            f"{events:,}",
            _mean(ours).shown(),
            _mean(theirs).shown(),
            _mean(theirs - ours).shown(sign=True),
        )
        for events, (ours, theirs) in sizes.items()
    )
    return BenchTable(
        "By size of the training",
        ("training events", OURS, SASREC, "difference"),
        rows,
        "nDCG@10 by tails of all shoppers; trained on a quarter, a half and all of them, one seed.",
        section=None,
    )


def _costs_table(costs: Mapping[str, SequenceCosts]) -> BenchTable:
    rows = tuple(
        (name, f"{one.training_seconds:.1f}", f"{one.answer_ms:.2f}") for name, one in costs.items()
    )
    return BenchTable(
        "Costs",
        ("system", "training, s", "scores of all products for one shopper, ms"),
        rows,
        "Processor time; SASRec in NumPy, one training with chosen options, by tails.",
        section=None,
    )


def goals(found: SequenceFigures) -> tuple[Goal, ...]:
    """Return the conditions under which the model is taken: all of the interval of its gain is
    above 0. NOT MEASURED without data."""
    made = []
    for task, (name, rival) in product(TASKS, RIVALS):
        each = found.gains.get(task)
        measured = None if each is None else _mean(each[name] - each[rival])
        title = f"nDCG@10, {task}: {name} above {rival}"
        made.append(Goal(title, None, "", measured, at_least=1e-9))
    return tuple(made)


def figures(found: SequenceFigures) -> dict[str, object]:
    """Return all figures as JSON values."""
    return {
        "choices": {
            str(choice.protocol): {
                "tried": [
                    {"length": one.length, "dropout": one.dropout, "epochs": epochs, "ndcg": figure}
                    for one, epochs, figure in choice.tried
                ],
                "weights": dict(choice.weights),
            }
            for choice in found.choices
        },
        "ndcg_at_10": {
            task: {name: _numbers(_mean(one)) for name, one in each.items()}
            for task, each in found.gains.items()
        },
        "gains": {
            task: {
                f"{name} above {rival}": _numbers(_mean(each[name] - each[rival]))
                for name, rival in RIVALS
            }
            for task, each in found.gains.items()
        },
        "shuffled": {
            task: {name: _numbers(_mean(one)) for name, one in each.items()}
            for task, each in found.shuffled.items()
        },
        "sizes": {
            f"{events}": {
                OURS: _numbers(_mean(ours)),
                SASREC: _numbers(_mean(theirs)),
                "difference": _numbers(_mean(theirs - ours)),
            }
            for events, (ours, theirs) in found.sizes.items()
        },
        "costs": {
            name: {"training_seconds": one.training_seconds, "answer_ms": one.answer_ms}
            for name, one in found.costs.items()
        },
    }


def _mean(values: Doubles) -> Interval:
    made = intervals(values[:, None])
    return Interval(float(made.mean[0]), float(made.low[0]), float(made.high[0]))


def _numbers(one: Interval) -> tuple[float, float, float]:
    return (one.value, one.low, one.high)
