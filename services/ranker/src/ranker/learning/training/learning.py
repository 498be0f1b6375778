"""Learns the blend of a score's parts, and the calibration of scores, from impressions.

Answers are cut into three slices by time. On the first, the click model of
learning/feedback/clicks.py estimates the weight of each part, independent of the place. On the
second, the order by these weights is compared with that of the validated default, and used only if
it is significantly better. On the third, scores are calibrated: ``score`` is the probability of the
event if the product is examined as often as the first place. They are calibrated to purchases too,
for the objectives of scenes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import bootstrap, rankdata

from ranker.domain.arrays import Doubles, Flags, Ints, part
from ranker.domain.events import EventType
from ranker.domain.feedback import Feedback
from ranker.domain.model import Calibration
from ranker.domain.recipe import FROM_IMPRESSIONS, PartBlend
from ranker.learning.feedback import clicks
from ranker.learning.feedback.clicks import ClickModel
from ranker.serving.ranking.parts import CONTENT, OWN_PARTS, POPULARITY

LEAST_IMPRESSIONS = 5_000
"""Minimum impressions in the slice that weights are learned on."""
LEAST_EVENTS = 300
"""Minimum events in the same slice: 50 for each of six coefficients. From 20 on, a regression's
coefficients and intervals are reliable (van der Ploeg, Austin, Steyerberg 2014)."""
LEAST_COMPARED = 100
"""Minimum number of answers with a choice in the second slice."""
LEAST_CALIBRATION = 2_000
LEAST_CALIBRATION_EVENTS = 100
"""Minimum impressions and events of the third slice: some ten bins of ten events."""
SLICES = (0.6, 0.8)
"""Shares of the answers, by time, at which the slices end."""
SIMILAR_SHARE = 0.1
"""Minimum share of impressions with a similarity, for weights to be relative to similarity."""
MOST_CORRECTION = 10.0
"""Maximum weight 1/θ of a choice at a low place."""
RESAMPLES = 1_000
_BLOCK = 2**22
"""Answers resampled at once: 32 MB."""
LEAST_WEIGHT = 0.05
"""Minimum weight as a share of the default: a part of weight 0 would not be recorded, so its weight
could never be learned again."""
BINS = 20
"""Groups of impressions of equal number that are calibrated; neighbours are pooled."""
FOLDS = 5
LEAST_PURCHASES = 30
"""Minimum purchases after clicks for their rate: its relative standard error is then 18%."""
LEAST_OWN_PURCHASES = 1_000
"""Minimum purchases of the third slice for a calibration of their own. With 570, that of clicks
times the rate predicted margins better, in made shops whose rate is constant; from which number on
that changes was not measured (lab/research/objectives.md)."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Improvement of the choices' places over the default, with a 95% interval."""

    value: float
    """Difference of the mean 1 / log2(1 + place) of chosen products among the shown ones."""
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Impressions with similar predicted probability."""

    predicted: float
    """Mean predicted probability of the event, at the places where they were shown."""
    observed: float
    """Share of them with the event."""
    count: int


@dataclass(frozen=True, slots=True)
class ImpressionFit:
    """Blend and calibration, as learned from impressions."""

    blend: PartBlend
    """The learned one, or the default."""
    calibration: Calibration | None
    decisions: tuple[str, ...]
    """Decisions with their reasons, one sentence each."""
    impressions: int
    events: int
    examination: Mapping[str, float] = field(default_factory=dict)
    """θ by clicks.PLACES; empty if nothing was learned."""
    gain: Gain | None = None
    reliability: tuple[Bin, ...] = ()
    """Reliability of the calibration, on impressions outside its training."""
    calibration_error: float = 0.0
    """Mean |predicted − observed| of these, weighted by their number (ECE)."""
    purchases: Calibration | None = None
    """Calibration to purchases; `None` if there are too few, or `calibration` is it."""
    purchases_per_click: float = 0.0
    """Purchases for each click of shown products; 0 if there are too few."""

    @property
    def by_place(self) -> tuple[float, ...]:
        """Return θ of each place from 1, to the first place of the last group."""
        if not self.examination:
            return ()
        group = clicks.groups(np.arange(1, clicks.PLACES[-1] + 1)).tolist()
        known = [*self.examination.values()]
        return tuple(known[one] for one in group)


@dataclass(frozen=True, slots=True)
class _Shown:
    """Impressions as they are learned from; all (rows,) or (rows, columns)."""

    names: tuple[str, ...]
    """Parts with learnable weights: the first columns of `parts`."""
    parts: Doubles
    """Parts before weighting: those of `names`, then popularity, then the sum of similarities."""
    answer: Ints
    place: Ints
    chosen: Doubles
    bought: Doubles
    clicked: Doubles
    weight: Doubles


def learn(
    feedback: Feedback,
    blends: Mapping[str, Mapping[str, float]],
    default: PartBlend,
    event: EventType = EventType.CLICK,
    seed: int = 0,
) -> ImpressionFit:
    """Learn blend and calibration from impressions; too few give the default and no calibration.
    `blends`: the blend of each version's parts; other versions, and those without a part of the
    default other than `content`, are ignored. `event`: CLICK or PURCHASE."""
    optional = (CONTENT, POPULARITY)
    names = [name for name in OWN_PARTS if name not in optional and default.weights.get(name)]
    usable = {one: blend for one, blend in blends.items() if all(map(blend.get, names))}
    shown = _shown(feedback, usable, event)
    count, events = len(shown.chosen), int(shown.chosen.sum())
    first, second, third = _slices(shown)
    fitting = part(shown, first)
    events_there = int(fitting.chosen.sum())
    if len(fitting.chosen) < LEAST_IMPRESSIONS or events_there < LEAST_EVENTS:
        decisions = (
            f"blend: {default.learned_from}; impressions to learn from: {len(fitting.chosen):,}"
            f" with {events_there:,} of {event}; at least {LEAST_IMPRESSIONS:,} with"
            f" {LEAST_EVENTS:,} are needed",
            "calibration: none, for the same reason",
        )
        return ImpressionFit(default, None, decisions, count, events)
    model = clicks.fit(fitting.parts, fitting.place, fitting.chosen, fitting.weight)
    blend, gain, why = _choose(part(shown, second), fitting, model, default, seed)
    scores = _columns(shown, blend.weights).sum(axis=1)
    held_out = part(shown, third)
    calibration, reliability, said = _calibrate(held_out, scores[third], model, event)
    purchases, more = None, list[str]()
    if event is not EventType.PURCHASE:
        bought = replace(held_out, chosen=held_out.bought)
        purchases, _, text = _calibrate(
            bought, scores[third], model, EventType.PURCHASE, LEAST_OWN_PURCHASES
        )
        more.append(text)
    return ImpressionFit(
        blend,
        calibration,
        (why, said, *more),
        count,
        events,
        examination=dict(zip(map(str, clicks.PLACES), model.examination.tolist(), strict=True)),
        gain=gain,
        reliability=reliability,
        calibration_error=_error(reliability),
        purchases=purchases,
        purchases_per_click=_purchases_per_click(shown),
    )


def _purchases_per_click(shown: _Shown) -> float:
    """Return the share of clicks after which the product was bought; 0 if there are too few."""
    both = shown.clicked * shown.bought
    if both.sum() < LEAST_PURCHASES:
        return 0.0
    return float(shown.weight @ both / (shown.weight @ shown.clicked))


def _shown(
    feedback: Feedback, blends: Mapping[str, Mapping[str, float]], event: EventType
) -> _Shown:
    """Return the impressions whose parts can be compared."""
    known = np.array([version in blends for version in feedback.versions], np.bool_)
    rows = feedback.impressions
    rows = rows.part(known[rows.version])
    column = {name: place for place, name in enumerate(rows.part_names)}
    names = tuple(name for name in OWN_PARTS if name in column and name != POPULARITY)
    parts = np.zeros((len(rows), len(names) + 2))
    for place, name in enumerate(names):
        factors = np.array([blends.get(one, {}).get(name, 0.0) for one in rows.versions])
        factor = factors[rows.version]
        parts[:, place] = rows.parts[:, column[name]] / np.where(factor > 0, factor, 1.0)
    for name, at in column.items():
        if name not in names:
            parts[:, -2 if name == POPULARITY else -1] += rows.parts[:, at]
    bought, clicked = rows.bought.astype(np.float64), rows.clicked.astype(np.float64)
    chosen = bought if event is EventType.PURCHASE else clicked
    return _Shown(names, parts, rows.answer, rows.place, chosen, bought, clicked, rows.weight)


def _slices(shown: _Shown) -> tuple[Flags, Flags, Flags]:
    """Return a mask for each slice; answers stay whole, and earlier ones come first."""
    codes = np.unique(shown.answer)
    ends = [int(len(codes) * share) for share in SLICES]
    place = np.searchsorted(codes, shown.answer)
    return place < ends[0], (place >= ends[0]) & (place < ends[1]), place >= ends[1]


def _columns(shown: _Shown, weights: Mapping[str, float]) -> Doubles:
    """Return the parts weighted by this blend."""
    factors = np.ones(shown.parts.shape[1])
    factors[: len(shown.names)] = [weights.get(name, 0.0) for name in shown.names]
    return shown.parts * factors


def _choose(
    held_out: _Shown, fitting: _Shown, model: ClickModel, default: PartBlend, seed: int
) -> tuple[PartBlend, Gain | None, str]:
    """Return the learned blend if it is significantly better on the held-out slice, else the
    default."""
    weights = _weights(fitting, model, default)
    choices = len(np.unique(held_out.answer[held_out.chosen > 0]))
    if choices < LEAST_COMPARED:
        why = f"{choices} answers to compare on; at least {LEAST_COMPARED} are needed"
        return default, None, f"blend: {default.learned_from}; {why}"
    gain = _gain(held_out, model, weights, default.weights, seed)
    gained = f"{gain.value:+.4f} ({gain.lower:+.4f} to {gain.upper:+.4f})"
    if gain.lower <= 0:
        why = f"the learned blend is not significantly better: {gained}"
        return default, gain, f"blend: {default.learned_from}; {why}"
    blend = PartBlend({**default.weights, **weights}, FROM_IMPRESSIONS, len(fitting.chosen))
    return blend, gain, f"blend: learned from impressions; chosen products rank higher by {gained}"


def _weights(fitting: _Shown, model: ClickModel, default: PartBlend) -> dict[str, float]:
    """Return the model's weights relative to the weight of similarities, which a blend does not
    change and which counts 1. If similarities have no weight, scores keep their size."""
    similar = np.mean(fitting.parts[:, -1] != 0) >= SIMILAR_SHARE and model.weights[-1] > 0
    own = model.weights[: len(fitting.names)]
    if similar:
        size = 1 / model.weights[-1]
    else:
        usual = [default.weights.get(name, 0.0) for name in fitting.names]
        parts = fitting.parts[:, : len(fitting.names)]
        spread = float((parts @ own).std())
        size = float((parts @ np.array(usual)).std()) / spread if spread else 1.0
    return {
        name: max(float(size * one), LEAST_WEIGHT * default.weights.get(name, 0.0))
        for name, one in zip(fitting.names, own, strict=True)
    }


def _gain(
    shown: _Shown,
    model: ClickModel,
    weights: Mapping[str, float],
    default: Mapping[str, float],
    seed: int,
) -> Gain:
    """Return the improvement of the choices' places, weighted by the inverse examination
    probability (Joachims, Swaminathan, Schnabel 2017, WSDM), with a paired bootstrap over
    answers."""
    correction = shown.chosen * shown.weight
    correction = correction * np.minimum(1 / model.looked_at(shown.place), MOST_CORRECTION)
    ranks = [_ranks(shown.answer, _columns(shown, one).sum(axis=1)) for one in (weights, default)]
    better = correction * (1 / np.log2(1 + ranks[0]) - 1 / np.log2(1 + ranks[1]))
    _, code = np.unique(shown.answer, return_inverse=True)
    above, below = np.bincount(code, better), np.bincount(code, correction)
    lower, upper = bootstrap(
        (above, below),
        lambda above, below, axis: above.sum(axis) / np.maximum(below.sum(axis), 1e-12),
        paired=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BLOCK // len(above)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Gain(float(above.sum() / below.sum()), float(lower), float(upper))


def _ranks(answer: Ints, scores: Doubles) -> Doubles:
    """Return the place of each row within its answer by score, (rows,), from 1.

    Ties share their mean place, so that no order gains by tie-breaking.
    """
    _, codes = np.unique(np.stack([answer, -scores]), axis=1, return_inverse=True)
    ranks: Doubles = rankdata(codes.ravel()) - np.searchsorted(np.sort(answer), answer)
    return ranks


def _calibrate(
    shown: _Shown,
    scores: Doubles,
    model: ClickModel,
    event: EventType,
    least_events: int = LEAST_CALIBRATION_EVENTS,
) -> tuple[Calibration | None, tuple[Bin, ...], str]:
    """Return the calibration of scores to probabilities for examined products, and its reliability
    on other answers."""
    count, events = len(scores), int(shown.chosen.sum())
    if count < LEAST_CALIBRATION or events < least_events:
        return (
            None,
            (),
            f"calibration: none; {count:,} impressions with {events:,} of {event}; at least"
            f" {LEAST_CALIBRATION:,} with {least_events:,} are needed",
        )
    seen = model.looked_at(shown.place)
    predicted = np.zeros(count)
    fold = np.unique(shown.answer, return_inverse=True)[1] % FOLDS
    for one in range(FOLDS):
        rest, here = fold != one, fold == one
        knots = _isotonic(scores[rest], shown.chosen[rest], seen[rest], shown.weight[rest])
        predicted[here] = seen[here] * np.interp(scores[here], *knots)
    raw_scores, chances = _isotonic(scores, shown.chosen, seen, shown.weight)
    found = Calibration(event, raw_scores, chances, count)
    reliability = _reliability(predicted, shown.chosen)
    said = f"calibration: chance of {event}, ECE {_error(reliability):.4f} on other answers"
    return found, reliability, said


def _isotonic(
    scores: Doubles, chosen: Doubles, seen: Doubles, weight: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the knots of the isotonic regression of choices on scores, in bins of equal
    number. A trial is weighed by its examination probability; falling neighbours are pooled
    (Ayer et al. 1955)."""
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, min(BINS, len(order)))

    def summed(values: Doubles) -> Doubles:
        return np.array([weight[rows] @ values[rows] for rows in bins])

    looks = summed(seen)
    found = isotonic_regression(summed(chosen) / looks, weights=looks)
    starts = found.blocks[:-1]
    pooled = [np.add.reduceat(summed(one), starts) for one in (scores, np.ones(len(scores)))]
    knots = pooled[0] / pooled[1]
    rising = np.append(True, np.diff(knots) > 0)
    return knots[rising], np.clip(found.x[starts], 0.0, 1.0)[rising]


def _reliability(predicted: Doubles, chosen: Doubles) -> tuple[Bin, ...]:
    """Return bins of ten groups of equal size by predicted chance."""
    groups = np.array_split(np.argsort(predicted, kind="stable"), 10)
    return tuple(
        Bin(float(predicted[rows].mean()), float(chosen[rows].mean()), len(rows))
        for rows in groups
        if len(rows)
    )


def _error(reliability: tuple[Bin, ...]) -> float:
    count = sum(one.count for one in reliability)
    return sum(abs(one.predicted - one.observed) * one.count for one in reliability) / (count or 1)
