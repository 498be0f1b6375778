"""Objectives on made shops whose truth is known.

A made shop's candidates have two parts, taste and looks. A shopper who examines a product clicks it
with the probability σ(a + w·parts) and buys a share of what they click. Places are examined with
the probability k^-0.7. In shops of the second kind dear products are also bought less often, which
no score knows. From answers in the order of the scores, with their impressions, clicks and
purchases, the ranker learns chances as in a training; then fresh answers are ordered by the
objective `margin`. Predicted: Σ θ̂_k · learned chance · margin over ten places; true: the same by
the chances of the shop.

Off-policy estimates of such an order come from answers whose ten places were drawn uniformly.

The rise's interval is over shops, of which there are five: it is too narrow rather than too wide.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from bench.harness import statistics
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from ranker.domain.arrays import Doubles, Ints
from ranker.domain.feedback import Feedback
from ranker.domain.model import Model
from ranker.domain.recipe import PartBlend
from ranker.learning.evaluation.bootstrap import intervals
from ranker.learning.feedback.estimators import Estimates, LoggedShows, RewardEstimate, estimate
from ranker.learning.training.learning import ImpressionFit, learn
from ranker.serving.ranking.diversity import RankedColumns, RankPolicy, arrange
from ranker.serving.ranking.objective import ObjectiveGoal, Offers, expected, purchase_chances

SHOPS = 5
FIRST_SEED = 100
"""The shops of the seeds 0 to 4 were used to choose how chances are extended, and those of 0 and 1
how many purchases get a calibration of their own."""
LOGGED, FRESH, CANDIDATES, LISTED = 6_000, 1_000, 50, 10
STRENGTHS = (0.25, 0.5, 1.0)
WORTH = np.array([1.2, 0.8])
"""Weights of taste and looks in a click."""
BASE, FADING, SALES = -2.5, 0.7, 0.25
"""Offset of a click; exponent of the examination; purchases for each click."""
DEAR = 0.5
"""Exponent of the price in the purchases of shops of the second kind."""
RUNS, TRUTH = 200, 100_000
SIZES = (1_500, 10_000)
"""Answers of a run. The larger one was added after the smaller one had missed the goals for
margins."""
NEAR = 0.15
"""Largest accepted difference of the predicted rise and the true one, as a share of the latter."""
DRAWS_SEED = 17
"""Seed of the bootstrap over shops."""
LEAST_HELD = 0.95
"""Goal of the share of runs that hold the truth."""
KINDS = ("by relevance", "dear ones sell less")
ESTIMATORS = ("ips", "snips", "doubly_robust")

Say: TypeAlias = Callable[[str], None]
Cube: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MadeAnswers:
    """Candidates of answers; all (answers, candidates) unless said otherwise."""

    parts: Cube
    """(answers, candidates, 2)"""
    price: Cube
    cost: Cube
    click: Cube
    """Probability of a click when examined."""
    purchase: Cube
    """Probability of a purchase when examined; not above `click`."""

    @property
    def margin(self) -> Cube:
        """Prices less costs."""
        return self.price - self.cost


def answers(
    count: int, kind: str, rng: np.random.Generator, width: int = CANDIDATES
) -> MadeAnswers:
    """Draw the candidates of answers."""
    parts = rng.normal(size=(count, width, 2))
    price, cost = np.exp(rng.normal(3.0, 0.6, size=(count, width))), np.zeros((count, width))
    np.round(price, 2, out=price)
    np.round(price * rng.uniform(0.3, 1.0, size=(count, width)), 2, out=cost)
    click = 1 / (1 + np.exp(-(BASE + parts @ WORTH)))
    sales = SALES * np.ones_like(price)
    if kind == KINDS[1]:
        sales = np.minimum(SALES * (price / math.exp(3.0)) ** -DEAR, 1.0)
    return MadeAnswers(parts, price, cost, click, click * sales)


def examined(count: int) -> Doubles:
    """Return the true probability that each place is examined."""
    found: Doubles = np.power(np.arange(1.0, count + 1), -FADING)
    return found


def logged(made: MadeAnswers, rng: np.random.Generator) -> Feedback:
    """Return the impressions of ten products an answer, in the order of the sum of the parts."""
    order = np.argsort(-made.parts.sum(axis=2), axis=1, kind="stable")[:, :LISTED]
    count = len(order)

    def shown(values: Cube) -> Doubles:
        return np.take_along_axis(values, order, axis=1).ravel()

    parts = np.take_along_axis(made.parts, order[:, :, None], axis=1).reshape(-1, 2)
    seen = rng.random(count * LISTED) < np.tile(examined(LISTED), count)
    clicked = seen & (rng.random(count * LISTED) < shown(made.click))
    bought = clicked & (rng.random(count * LISTED) < shown(made.purchase / made.click))
    rank = np.tile(np.arange(1, LISTED + 1), count)
    return Feedback(
        part_names=("taste", "visual"),
        versions=("v1",),
        answer=np.repeat(np.arange(count), LISTED),
        micros=np.repeat(np.arange(count), LISTED),
        version=np.zeros(count * LISTED, np.int64),
        parts=parts,
        raw_score=parts.sum(axis=1),
        rank=rank,
        place=rank,
        propensity=np.ones(count * LISTED),
        shown=np.ones(count * LISTED, np.bool_),
        weight=np.ones(count * LISTED),
        clicked=clicked,
        bought=bought,
        **dict.fromkeys(
            ("shown_micros", "clicked_micros", "bought_micros"), np.zeros(count * LISTED, np.int64)
        ),
    )


def trained(feedback: Feedback) -> tuple[Model, float]:
    """Return a model with the learned chances, and its weight of taste."""
    default = PartBlend({"taste": 1.0}, "validation", 1)
    found: ImpressionFit = learn(feedback, {"v1": {"taste": 1.0}}, default)
    nothing = np.zeros((0, 1), np.float32)
    made = Model(
        *("bench", (), {}, nothing, np.zeros(0, np.float32), {}, nothing),
        feature_rows={},
        feature_names=(),
        feature_vectors=nothing,
        feature_biases=np.zeros(0, np.float32),
        score_scale=1.0,
        attribute_keys=(),
        calibration=found.calibration,
        purchases=found.purchases,
        purchases_per_click=found.purchases_per_click,
        examination=found.by_place,
    )
    return made, float(found.blend.weights["taste"])


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """Figures of one order; all (answers,)."""

    predicted: Doubles
    true: Doubles
    """Expected margin of ten places, predicted and true."""
    ndcg: Doubles
    """nDCG@10; gains are the true probabilities of a click."""


def measured(made: MadeAnswers, model: Model, taste: float, strength: float) -> OrderFigures:
    """Order fresh answers by the objective `margin`, as the ranker does."""
    scores = made.parts @ np.array([taste, 1.0])
    rows = [_ordered(made, model, scores[row], row, strength) for row in range(len(scores))]
    order = np.stack(rows)[:, :LISTED]

    def first(values: Cube) -> Cube:
        return np.take_along_axis(values, order, axis=1)

    chances, _ = purchase_chances(model, scores.ravel())
    if chances is None:
        raise RuntimeError("too few purchases to learn from")
    known = np.array(model.examination[:LISTED])
    discount = 1 / np.log2(2 + np.arange(LISTED))
    ideal = -np.sort(-made.click, axis=1)[:, :LISTED]
    return OrderFigures(
        predicted=(first(chances.reshape(scores.shape) * made.margin) * known).sum(axis=1),
        true=(first(made.purchase * made.margin) * examined(LISTED)).sum(axis=1),
        ndcg=(first(made.click) * discount).sum(axis=1) / (ideal * discount).sum(axis=1),
    )


def _ordered(made: MadeAnswers, model: Model, scores: Doubles, row: int, strength: float) -> Ints:
    best = np.argsort(-scores, kind="stable")
    count = len(best)
    offers = Offers(
        np.round(made.price[row, best] * 1e6).astype(np.int64),
        ["EUR"] * count,
        np.round(made.cost[row, best] * 1e6).astype(np.int64),
        ["EUR"] * count,
    )
    shelf = RankedColumns(
        ids=[str(item) for item in best.tolist()],
        raw_scores=scores[best],
        brands=[""] * count,
        categories=[""] * count,
        styles=None,
        shares=None,
        new=np.zeros(count, np.bool_),
        expected=expected(ObjectiveGoal.MARGIN, scores[best], offers, model).values,
    )
    policy = RankPolicy(objective=ObjectiveGoal.MARGIN, objective_strength=strength)
    found: Ints = best[arrange(shelf, policy, b"").order]
    return found


@dataclass(frozen=True, slots=True)
class Rise:
    """Rise of one strength over the order of the scores, over all shops of a kind."""

    predicted: Doubles
    true: Doubles
    before: Doubles
    ndcg: Doubles
    shop: Ints
    """(answers,) number of the shop."""

    @property
    def ratio(self) -> Interval:
        """Predicted rise over the true one, with its interval over shops."""
        sums = (np.bincount(self.shop, each) for each in (self.predicted, self.true))
        pairs = list(zip(*(each.tolist() for each in sums), strict=True))
        return statistics.ratio(pairs, seed=DRAWS_SEED)


def rises(kind: str, say: Say) -> dict[float, Rise]:
    """Measure all strengths in the made shops of a kind."""
    found: dict[float, list[tuple[OrderFigures, OrderFigures]]] = {one: [] for one in STRENGTHS}
    for seed in range(SHOPS):
        say(f"shop {seed + 1} of {SHOPS}: {kind}")
        rng = np.random.default_rng([FIRST_SEED + seed, KINDS.index(kind)])
        model, taste = trained(logged(answers(LOGGED, kind, rng), rng))
        fresh = answers(FRESH, kind, rng)
        plain = measured(fresh, model, taste, 0.0)
        for strength in STRENGTHS:
            found[strength].append((plain, measured(fresh, model, taste, strength)))
    return {strength: _rise(pairs) for strength, pairs in found.items()}


def _rise(pairs: Sequence[tuple[OrderFigures, OrderFigures]]) -> Rise:
    return Rise(
        predicted=np.concatenate([two.predicted - one.predicted for one, two in pairs]),
        true=np.concatenate([two.true - one.true for one, two in pairs]),
        before=np.concatenate([one.true for one, _ in pairs]),
        ndcg=np.concatenate([two.ndcg - one.ndcg for one, two in pairs]),
        shop=np.repeat(np.arange(len(pairs)), [len(one.true) for one, _ in pairs]),
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """Number of runs of an estimator whose interval holds the truth."""

    name: str
    reward: str
    truth: float
    mean: float
    """Mean of the estimates."""
    held: int
    count: int
    answers: int
    rewards: float
    """Mean number of rewards that count."""

    @property
    def interval(self) -> Interval:
        """Share of the runs, with its exact binomial interval."""
        found = binomtest(self.held, self.count).proportion_ci(0.95)
        return Interval(self.held / self.count, float(found.low), float(found.high))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Estimates of one run, and the number of rewards that count in each."""

    clicks: Estimates
    margin: Estimates
    rewards: dict[str, float]


def coverages(say: Say) -> list[Coverage]:
    """Estimate an order by expected margins from uniformly drawn orders, again and again."""
    whole = answers(TRUTH, KINDS[0], np.random.default_rng(11), LISTED)
    seen = examined(LISTED)
    order = _target(whole)
    truths = {
        reward: float((np.take_along_axis(values, order, axis=1) * seen).mean())
        for reward, values in (("clicks", whole.click), ("margin", whole.purchase * whole.margin))
    }
    found = []
    for size in SIZES:
        say(f"off-policy estimates from {size:,} answers")
        drawn = [_off_policy(np.random.default_rng([13, size, one]), size) for one in range(RUNS)]
        for reward, truth in truths.items():
            for name in ESTIMATORS:
                runs = [getattr(getattr(one, reward), name) for one in drawn]
                rewards = float(np.mean([one.rewards[reward] for one in drawn]))
                found.append(_coverage((name, reward), truth, runs, size, rewards))
    return found


def _coverage(
    names: tuple[str, str],
    truth: float,
    runs: Sequence[RewardEstimate | None],
    size: int,
    rewards: float,
) -> Coverage:
    known = [one for one in runs if one is not None]
    return Coverage(
        *names,
        truth=truth,
        mean=float(np.mean([one.value for one in known])),
        held=sum(one.lower <= truth <= one.upper for one in known),
        count=len(known),
        answers=size,
        rewards=rewards,
    )


def _target(made: MadeAnswers) -> Ints:
    """Return the order of the evaluated policy: by score and margin, half each."""
    scores = made.parts.sum(axis=2)
    relevance, worth = (
        (one - one.min(axis=1, keepdims=True)) / np.ptp(one, axis=1)[:, None]
        for one in (scores, made.margin / (1 + np.exp(-scores)))
    )
    order: Ints = np.argsort(-(relevance + worth), axis=1, kind="stable")
    return order


def _off_policy(rng: np.random.Generator, size: int) -> Drawn:
    """Draw one run of answers."""
    made = answers(size, KINDS[0], rng, LISTED)
    drawn = np.argsort(rng.random((size, LISTED)), axis=1)
    chosen = _target(made)

    def placed(values: Cube) -> Doubles:
        return np.take_along_axis(values, drawn, axis=1).ravel()

    rows = size * LISTED
    seen = rng.random(rows) < np.tile(examined(LISTED), size)
    clicked = seen & (rng.random(rows) < placed(made.click))
    bought = clicked & (rng.random(rows) < placed(made.purchase / made.click))
    # A rough model of the reward, as of an earlier training: right in its order, not in its size.
    rough = 0.1 * examined(LISTED)[None, :] * np.ones((size, 1))
    matched = (drawn == chosen).ravel().astype(np.float64)

    def estimated(values: Doubles, worth: Cube) -> Estimates:
        return estimate(
            LoggedShows(
                answer=np.repeat(np.arange(size), LISTED),
                reward=values,
                propensity=np.full(rows, 1 / LISTED),
                target=matched,
                weight=np.ones(rows),
                place=np.tile(np.arange(1, LISTED + 1), size),
                predicted=(np.take_along_axis(worth, drawn, axis=1) * rough).ravel(),
                expected=(np.take_along_axis(worth, chosen, axis=1) * rough).ravel(),
            )
        )

    return Drawn(
        clicks=estimated(clicked.astype(np.float64), np.ones_like(made.margin)),
        margin=estimated(bought * placed(made.margin), SALES * made.margin),
        rewards={"clicks": float(matched @ clicked), "margin": float(matched @ bought)},
    )


def run(say: Say) -> BenchResult:
    """Measure in about two minutes, without a suite."""
    found = {kind: rises(kind, say) for kind in KINDS}
    covered = coverages(say)
    return result_of(found, covered)


def result_of(
    found: Mapping[str, Mapping[float, Rise]], covered: Sequence[Coverage]
) -> BenchResult:
    """Return tables, figures and goals. The goals of the rise are of shops whose chances follow
    relevance."""
    return BenchResult(
        tables=(_rise_table(found), _coverage_table(covered)),
        figures={
            "rises": {
                kind: {
                    f"{strength:g}": {
                        "predicted": float(one.predicted.mean()),
                        "true": float(one.true.mean()),
                        "before": float(one.before.mean()),
                        "ndcg": float(one.ndcg.mean()),
                        "ratio": asdict(one.ratio),
                    }
                    for strength, one in rises_.items()
                }
                for kind, rises_ in found.items()
            },
            "coverage": {
                f"{one.name} {one.reward} {one.answers}": {"held": one.held, "count": one.count}
                for one in covered
            },
        },
        goals=(
            *_rise_goals(found[KINDS[0]]),
            *(_coverage_goal(one) for one in covered),
        ),
    )


def _interval(values: Doubles) -> Interval:
    found = intervals(values[:, None])
    return Interval(float(found.mean[0]), float(found.low[0]), float(found.high[0]))


def _rise_table(found: Mapping[str, Mapping[float, Rise]]) -> BenchTable:
    rows = []
    for kind, strengths in found.items():
        for strength, one in strengths.items():
            before = float(one.before.mean())
            true, lost = _interval(one.true), _interval(one.ndcg)
            rows.append(
                (
                    kind,
                    f"{strength:g}",
                    f"{before:.3f}",
                    f"{one.predicted.mean():+.3f}",
                    one.ratio.shown(),
                    f"{true.value:+.3f} ({true.low:+.3f} to {true.high:+.3f})",
                    f"{true.value / before:+.0%}",
                    f"{lost.value:+.4f} ({lost.low:+.4f} to {lost.high:+.4f})",
                )
            )
    return BenchTable(
        title="Margin of ten places by the objective `margin`",
        headers=(
            *("shops", "strength", "before", "predicted rise", "predicted ÷ true"),
            *("true rise", "true rise, %"),
            "change of nDCG@10",
        ),
        rows=tuple(rows),
        caption=(
            f"{SHOPS} made shops of each kind; {LOGGED:,} answers to learn from, {FRESH:,} fresh"
            f" ones of {CANDIDATES} candidates in each. *Before*: true expected margin of the"
            " first ten places of an answer in the order of the scores. nDCG@10: its gains are the"
            " true probabilities of a click. In brackets: 95% intervals, paired by answer; that of"
            " *predicted ÷ true* over the shops."
        ),
    )


def _coverage_table(covered: Sequence[Coverage]) -> BenchTable:
    rows = []
    for one in covered:
        share = one.interval
        rows.append(
            (
                f"{one.answers:,}",
                one.reward,
                f"{one.rewards:.0f}",
                one.name.replace("_", " "),
                f"{one.truth:.4f}",
                f"{one.mean:.4f}",
                f"{one.held} of {one.count}",
                f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})",
            )
        )
    return BenchTable(
        title="Runs whose off-policy interval holds the truth",
        headers=(
            *("answers", "reward", "rewards that count", "estimator", "truth", "mean estimate"),
            *("runs", "share"),
        ),
        rows=tuple(rows),
        caption=(
            f"{RUNS} runs of answers whose {LISTED} places were drawn uniformly; the evaluated"
            " order is half by score, half by expected margin. *Rewards that count*: mean number of"
            " clicks, or purchases, of products at the place of the evaluated order. *Truth*:"
            f" reward for each shown product in {TRUTH:,} answers. In brackets: exact binomial 95%"
            " intervals."
        ),
    )


def _rise_goals(found: Mapping[float, Rise]) -> tuple[Goal, ...]:
    return tuple(
        Goal(
            f"predicted rise over the true one at a strength of {strength:g}",
            1 + NEAR,
            "",
            one.ratio,
            1 - NEAR,
        )
        for strength, one in found.items()
    )


def _coverage_goal(one: Coverage) -> Goal:
    """Return the goal of a share of these very runs: the figure decides."""
    return Goal(
        f"{one.name} of {one.reward}, {one.answers:,} answers: share of {one.count} runs whose"
        " interval holds the truth",
        None,
        "",
        one.interval,
        LEAST_HELD,
        by_figure=True,
    )
