"""Quality of the ranker's models compared with classic recommenders on MovieLens-100k.

Two protocols (``ranker.learning.evaluation.splits``), each with a fifth held out: the tails of
all shoppers' events, and all events after a moment. All choices are made on a validation split by
the same protocol inside the training part, on which the recipe's defaults were chosen too
(lab/research/quality.md). The bench chooses a blend there, fits the recipe on the whole training
part, and evaluates it once on the test part. All systems get the same last events.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.datasets.movielens import NEW_FILMS as NEW_FILMS_RECIPE
from bench.datasets.movielens import RECIPE, SIGNALS, MovieLens
from bench.harness.model import BenchResult, BenchTable, Goal, Interval, PageBlock
from ranker.domain.arrays import Doubles, Flags
from ranker.domain.features import PhotoVectors
from ranker.domain.log import EventColumns
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.domain.report import Protocol
from ranker.learning.evaluation import baselines, metrics, systems
from ranker.learning.evaluation.baselines import Scorer
from ranker.learning.evaluation.bootstrap import intervals
from ranker.learning.evaluation.evaluate import features_of
from ranker.learning.evaluation.histories import Histories, histories_of
from ranker.learning.evaluation.metrics import Lists
from ranker.learning.evaluation.splits import EventSplit, SplitQuestions, Task, split, tasks
from ranker.learning.training.blend import choose
from ranker.learning.training.fitting import fitted
from ranker.learning.training.recipe_validation import Validation
from ranker.learning.training.training_data import Given
from ranker.serving.ranking.parts import POPULARITY

SHARE = 0.2
SEEDS = (0, 1, 2)
FOLDS = 5
NEWCOMER_EVENTS = (1, 3, 5, 10)
OURS = "Sightline"
NDCG, AUC, COVERAGE = "ndcg@10", "auc", "coverage@10"
SHOWN = ("precision@10", "recall@10", NDCG, AUC)
RIVALS = ("V-SKNN", "EASE")
LATER = 10**15
"""Microseconds of 30 years: after that time no visit is in progress."""

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """A system's figures for a task."""

    by_shopper: Mapping[str, Doubles]
    """Figures by name (shoppers,)."""
    coverage: float

    def interval(self, name: str) -> Interval:
        """Return the mean over shoppers with its BCa interval."""
        return _interval(self.by_shopper[name])


@dataclass(slots=True)
class QualityFigures:
    """All figures of the bench."""

    tests: dict[str, dict[str, SystemFigures]] = field(default_factory=dict)
    """Figures by task, then by system."""
    blends: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """Blend by protocol, as chosen on validation."""
    ablations: dict[str, tuple[tuple[str, float, Interval], ...]] = field(default_factory=dict)
    """By protocol: the omitted part, nDCG@10 without it, and the lead of all parts together."""


def run(say: Say) -> BenchResult:
    """Measure all of it, in some minutes; without the data nothing is measured."""
    path = movielens.folder()
    if path is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there"
        return BenchResult(
            tables=(), figures={}, goals=_goals(QualityFigures()), warnings=(missing,)
        )
    data, found = movielens.load(path), QualityFigures()
    for protocol in (Protocol.PER_USER_TAIL, Protocol.GLOBAL):
        made = split(data.log, protocol, SHARE)
        say(f"{protocol}: choosing the blend on validation")
        recipe = _chosen(data, made, found)
        say(f"{protocol}: fitting, and asking for what was held out")
        _test(data, made, recipe, found)
        if protocol is Protocol.PER_USER_TAIL:
            say("shoppers that no training saw")
            _newcomers(data, made, recipe, found)
    say("films that no training saw")
    found.tests["new films"] = {OURS: new_films(data)[0][0]}
    goals, parts = _goals(found), _ablation_tables(found)
    return BenchResult(
        tables=(*_test_tables(found), *parts),
        figures=_figures(found),
        goals=goals,
        page={"quality": PageBlock((page_table(found.tests), *parts), goals)},
    )


def _chosen(data: MovieLens, made: EventSplit, found: QualityFigures) -> Recipe:
    """Return the recipe with the best blend on validation, and report what each part adds there."""
    inner = split(made.before, made.protocol, SHARE)
    asked = _tasks(data, inner)
    task = asked.ongoing if made.protocol is Protocol.GLOBAL else asked.regulars
    measured = Validation(Given(inner.before, data.products), task)
    model = fitted(Given(inner.before, data.products), RECIPE).model
    blend = choose(measured.cases(model), RECIPE.blend)
    recipe = replace(RECIPE, blend=blend)
    found.blends[made.protocol] = blend.weights
    nobody = replace(recipe, user_ids=False)
    found.ablations[made.protocol] = _ablation(
        measured,
        replace(model, blend=blend.weights),
        fitted(Given(inner.before, data.products), nobody).model,
    )
    return recipe


def _ablation(
    measured: Validation, model: Model, nobody: Model
) -> tuple[tuple[str, float, Interval], ...]:
    """Return what each part adds. `nobody`: a model without features of single shoppers."""
    weights = {name: one for name, one in model.blend.items() if one > 0 and name != POPULARITY}
    everything = measured.gains(model)
    others = {"without user ids": nobody}
    for name in weights:
        less = {other: one for other, one in weights.items() if other != name}
        others[f"without {name}"] = replace(model, blend=less)
    for name, one in weights.items():
        others[f"{name} alone"] = replace(model, blend={name: one})
    rows = [("all parts", float(everything.mean()), _interval(np.zeros_like(everything)))]
    for name, other in others.items():
        gains = measured.gains(other)
        rows.append((name, float(gains.mean()), _interval(everything - gains)))
    return tuple(rows)


def _test(data: MovieLens, made: EventSplit, recipe: Recipe, found: QualityFigures) -> None:
    """Test our model and the baselines on held-out events."""
    asked, count = _tasks(data, made), len(data.products)
    classics = baselines.fit_all(asked.training, count)
    model = fitted(Given(made.before, data.products), recipe).model
    scorers = (served(data, model, asked.training), *classics)
    named = {"regulars": asked.regulars}
    if made.protocol is Protocol.GLOBAL:
        named |= {"newcomers after 3 events": asked.newcomers, "everybody, half-way": asked.ongoing}
    for name, task in named.items():
        found.tests[f"{made.protocol}: {name}"] = {
            one.name: measured(data, one, task, asked.training) for one in scorers
        }


def _newcomers(data: MovieLens, made: EventSplit, recipe: Recipe, found: QualityFigures) -> None:
    """Leave a fifth of the shoppers out of training and give them their last few events."""
    asked, actors = _tasks(data, made), np.array(made.before.actors)
    parts: dict[int, list[dict[str, SystemFigures]]] = {count: [] for count in NEWCOMER_EVENTS}
    for seed in SEEDS:
        out = np.random.default_rng(seed).permutation(len(actors))[: len(actors) // 5]
        seen = ~np.isin(made.before.actor, out)
        inside = made.before.part(seen)
        training = histories_of(inside, _rows(data), SIGNALS)
        classics = baselines.fit_all(training, len(data.products))
        model = fitted(Given(inside, data.products), replace(recipe, seed=seed)).model
        unseen = set(actors[out].tolist())
        known = asked.regulars.known.where_actor(unseen)
        wanted = asked.regulars.wanted.where_actor(unseen)
        task = Task(known, wanted, asked.regulars.candidates)
        for count in NEWCOMER_EVENTS:
            given = known.newest(count)
            parts[count].append(
                {
                    one.name: measured(data, one, task, training, given)
                    for one in (served(data, model, training), *classics)
                }
            )
    for count, each in parts.items():
        found.tests[f"unseen shoppers, {count} events"] = {
            name: joined([one[name] for one in each]) for name in each[0]
        }


@dataclass(frozen=True, slots=True)
class NewFilms:
    """Films that are left out of a training, and its events."""

    inside: EventColumns
    """Events of the other films."""
    known: Histories
    """Likes of the other films."""
    task: Task
    """Rank the films among themselves for the shoppers who like some of both."""


def left_out(
    data: MovieLens, among: Flags | None = None, seed: int = SEEDS[0]
) -> Iterator[NewFilms]:
    """Leave each fifth of the films (of `among`), drawn by the seed, out in turn. They lie anywhere
    in a shopper's history, so no visit is in progress."""
    items = np.array(data.log.items)
    everything = histories_of(data.log, _rows(data), SIGNALS)
    films = np.arange(len(data.products)) if among is None else np.flatnonzero(among)
    drawn = np.random.default_rng(seed).permutation(films)
    for fold in np.array_split(drawn, FOLDS):
        new = np.zeros(len(data.products), dtype=bool)
        new[fold] = True
        ids = [one.product_id for one, is_new in zip(data.products, new, strict=True) if is_new]
        inside = data.log.part(~np.isin(items, ids)[data.log.item])
        known, wanted = everything.only(~new), everything.only(new)
        asked = {*known.actors} & {*wanted.actors}
        later = replace(known.where_actor(asked), asked_micros=int(data.log.time[-1]) + LATER)
        yield NewFilms(inside, known, Task(later, wanted.where_actor(asked), new))


def new_films(
    data: MovieLens,
    posters: PhotoVectors | None = None,
    among: Flags | None = None,
    changes: Sequence[Callable[[Model], Model]] = (lambda model: model,),
) -> list[tuple[SystemFigures, SystemFigures]]:
    """Rank the films that `left_out` leaves out. Return for each of `changes`, made to the trained
    models, the figures with ties by the films' numbers, and at random (`ByLot`).
    """
    each: list[list[tuple[SystemFigures, SystemFigures]]] = [[] for _ in changes]
    for films in left_out(data, among):
        model = fitted(Given(films.inside, data.products, posters), NEW_FILMS_RECIPE).model
        for change, found in zip(changes, each, strict=True):
            ours = served(data, change(model), films.known)
            by_number = measured(data, ours, films.task, films.known)
            found.append((by_number, measured(data, ByLot(ours), films.task, films.known)))
    return [
        (joined([one for one, _ in found]), joined([one for _, one in found])) for found in each
    ]


@dataclass(frozen=True, slots=True)
class ByLot:
    """A scorer that orders equal scores at random. New films of the same genres and decade have
    equal scores, and MovieLens numbers its films roughly from known to unknown ones.
    """

    scorer: Scorer

    @property
    def name(self) -> str:
        return self.scorer.name

    def scores(self, shoppers: Histories) -> Doubles:
        found = np.asarray(self.scorer.scores(shoppers), np.float64)
        lots = np.random.default_rng(SEEDS[0]).permutation(found.shape[1])
        settled: Doubles = found + 1e-12 * lots  # below the single precision of scores
        return settled


def measured(
    data: MovieLens,
    scorer: Scorer,
    task: Task,
    training: Histories,
    given: Histories | None = None,
) -> SystemFigures:
    """Measure a scorer. `given`: known likes of the task's shoppers that the scorer gets; None:
    all. Known likes are never among the candidates."""
    scores = scorer.scores(task.known if given is None else given)
    lists: Lists = metrics.order(scores, task.known, task.wanted, task.candidates)
    features = features_of(data.products, RECIPE.attribute_keys)
    named = metrics.by_shopper(lists, training, features)
    whole = metrics.of_all_lists(lists, task.candidates)
    return SystemFigures({name: named[name] for name in SHOWN}, whole[COVERAGE])


def joined(parts: Sequence[SystemFigures]) -> SystemFigures:
    """Join several draws: all their shoppers, and the mean coverage."""
    columns = {name: np.concatenate([part.by_shopper[name] for part in parts]) for name in SHOWN}
    return SystemFigures(columns, float(np.mean([part.coverage for part in parts])))


def served(data: MovieLens, model: Model, training: Histories) -> systems.Served:
    """Return the model as served; popularity in the training for shoppers without data."""
    popularity = baselines.popularity(training, len(data.products))
    return systems.served(OURS, model, data.products, popularity)


def _tasks(data: MovieLens, made: EventSplit) -> SplitQuestions:
    return tasks(made, [product.product_id for product in data.products], SIGNALS)


def _rows(data: MovieLens) -> dict[str, int]:
    return {product.product_id: row for row, product in enumerate(data.products)}


def _interval(values: Doubles) -> Interval:
    found = intervals(values[:, None])
    return Interval(float(found.mean[0]), float(found.low[0]), float(found.high[0]))


TAILS = f"{Protocol.PER_USER_TAIL}: regulars"
GLOBAL = f"{Protocol.GLOBAL}: everybody, half-way"
RETURNING = f"{Protocol.GLOBAL}: regulars"
NEWCOMERS, NEW_FILMS = "unseen shoppers, 3 events", "new films"


def _goals(found: QualityFigures) -> tuple[Goal, ...]:
    """Return the goals; without figures nothing is measured.

    Levels are those of this very test part, as are the published figures beside them, so the figure
    itself decides. A lead is claimed for shoppers at large, so its whole interval decides.
    """

    def figure(name: str, task: str, metric: str, least: float) -> Goal:
        test = found.tests.get(task, {}).get(OURS)
        if test is None:
            return Goal(name, None, "", None, at_least=least)
        if metric == COVERAGE:  # of all lists together: it has no interval
            level = Interval(test.coverage, test.coverage, test.coverage)
        else:
            level = _interval(test.by_shopper[metric])
        return Goal(name, None, "", level, at_least=least, by_figure=True)

    def ahead(rival: str, task: str) -> Goal:
        test = found.tests.get(task, {})
        interval = _ahead(test, rival) if test else None
        return Goal(f"nDCG@10 above {rival}'s, {task}", None, "", interval, at_least=0.0)

    return (
        figure("nDCG@10, per-user tails", TAILS, NDCG, 0.26),
        figure("AUC, per-user tails", TAILS, AUC, 0.895),
        figure("coverage@10, per-user tails", TAILS, COVERAGE, 0.30),
        *(ahead(rival, task) for task in (TAILS, RETURNING, GLOBAL) for rival in RIVALS),
        figure("nDCG@10, global, regulars weeks later", RETURNING, NDCG, 0.285),
        figure("nDCG@10, unseen shoppers after 3 events", NEWCOMERS, NDCG, 0.245),
        figure("AUC, new films by genres and decade", NEW_FILMS, AUC, 0.715),
        figure("nDCG@10, new films by genres and decade", NEW_FILMS, NDCG, 0.30),
    )


def _ahead(test: Mapping[str, SystemFigures], rival: str) -> Interval:
    """Return how far our nDCG@10 is above the rival's, paired by shopper."""
    return _interval(test[OURS].by_shopper[NDCG] - test[rival].by_shopper[NDCG])


def _test_tables(found: QualityFigures) -> tuple[BenchTable, ...]:
    rows = tuple(
        (
            task,
            name,
            f"{len(one.by_shopper[NDCG]):,}",
            *(_words(one.interval(metric)) for metric in SHOWN),
            f"{one.coverage:.3f}",
            "" if name == OURS else _words(_ahead(each, name)),
        )
        for task, each in found.tests.items()
        for name, one in each.items()
    )
    headers = ("asked", "system", "shoppers", *SHOWN, COVERAGE, "we are ahead by")
    caption = "With 95% intervals (BCa, over shoppers; paired for nDCG@10 ahead of others)."
    return (BenchTable("Held-out events", headers, rows, caption),)


def page_table(tests: Mapping[str, Mapping[str, SystemFigures]]) -> BenchTable:
    """Return the table of the page: a column for each system, without precision and recall."""
    systems = tuple(dict.fromkeys(name for each in tests.values() for name in each))
    rows = list[tuple[str, ...]]()
    for task, each in tests.items():
        rows += [(task, metric, *_means(each, systems, metric)) for metric in (NDCG, AUC)]
        shown = (f"{each[name].coverage:.3f}" if name in each else "" for name in systems)
        rows.append((task, COVERAGE, *shown))
        if len(each) > 1:
            rivals = (_thousandths(_ahead(each, name)) for name in systems[1:])
            rows.append((task, f"{NDCG}: ahead by", "", *rivals))
    counts = (f"{task} {len(each[OURS].by_shopper[NDCG]):,}" for task, each in tests.items())
    return BenchTable(
        "Held-out events",
        ("asked", "figure", *systems),
        tuple(rows),
        "95% intervals (BCa, over shoppers; paired where Sightline is ahead). Shoppers:"
        f" {', '.join(counts)}.",
    )


def _means(test: Mapping[str, SystemFigures], systems: Sequence[str], metric: str) -> Iterator[str]:
    """Return a figure of each system, with the interval of ours."""
    for name in systems:
        mean = test[name].interval(metric) if name in test else None
        if mean is None:
            yield ""
        else:
            yield _thousandths(mean) if name == OURS else f"{mean.value:.3f}"


def _thousandths(interval: Interval) -> str:
    return interval.shown(3)


def _ablation_tables(found: QualityFigures) -> tuple[BenchTable, ...]:
    rows = tuple(
        (protocol, name, f"{value:.4f}", "" if name == "all parts" else _words(less))
        for protocol, each in found.ablations.items()
        for name, value, less in each
    )
    blends = "; ".join(
        f"{protocol}: " + ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        for protocol, weights in found.blends.items()
    )
    headers = ("protocol", "parts", NDCG, "all parts are ahead by")
    caption = f"On the validation split. The blends chosen there: {blends}."
    return (BenchTable("Contribution of each part", headers, rows, caption),)


def _words(interval: Interval) -> str:
    return interval.shown(4)


def _figures(found: QualityFigures) -> dict[str, object]:
    return {
        "settings": {"share": SHARE, "seeds": SEEDS, "recipe": RECIPE.json()},
        "blends": {name: dict(weights) for name, weights in found.blends.items()},
        "tests": {
            task: {
                name: {
                    "shoppers": len(one.by_shopper[NDCG]),
                    **{metric: _numbers(one.interval(metric)) for metric in SHOWN},
                    COVERAGE: one.coverage,
                    "ahead": _numbers(_ahead(each, name)),
                }
                for name, one in each.items()
            }
            for task, each in found.tests.items()
        },
        "ablations": {
            protocol: {name: {NDCG: value, "ahead": _numbers(less)} for name, value, less in each}
            for protocol, each in found.ablations.items()
        },
    }


def _numbers(interval: Interval) -> tuple[float, float, float]:
    return (interval.value, interval.low, interval.high)
