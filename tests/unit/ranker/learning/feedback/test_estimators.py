"""Estimates on simulated logs with a known truth."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom

from ranker.learning.feedback.estimators import CLIP, LoggedShows, RewardEstimate, estimate
from ranker.learning.feedback.policies import compared

PLACES, PRODUCTS, ANSWERS = 3, 5, 400


@dataclass(frozen=True)
class World:
    """Shoppers of four kinds; each place is filled independently, with probabilities of its own."""

    clicks: np.ndarray
    """(kinds, places, products)"""
    logging: np.ndarray
    target: np.ndarray

    @property
    def truth(self) -> float:
        """True reward of the target per shown product."""
        return float((self.target * self.clicks).sum() / (len(self.clicks) * PLACES))

    def log(
        self, seed: int, answers: int = ANSWERS, model: np.ndarray | None = None
    ) -> LoggedShows:
        """Return the impressions of the logging policy; `model` predicts clicks."""
        rng = np.random.default_rng(seed)
        model = np.zeros_like(self.clicks) if model is None else model
        kind = rng.integers(len(self.clicks), size=answers)
        kind, place = np.repeat(kind, PLACES), np.tile(np.arange(PLACES), answers)
        chances = self.logging[kind, place].cumsum(axis=1)
        product = (rng.random((len(kind), 1)) > chances).sum(axis=1).clip(max=PRODUCTS - 1)
        at = (kind, place, product)
        return LoggedShows(
            answer=np.repeat(np.arange(answers), PLACES),
            reward=(rng.random(len(kind)) < self.clicks[at]).astype(float),
            propensity=self.logging[at],
            target=self.target[at],
            weight=np.ones(len(kind)),
            place=place + 1,
            predicted=model[at],
            expected=(self.target * model)[kind, place].sum(axis=1),
        )


def world(seed: int = 1) -> World:
    rng = np.random.default_rng(seed)
    shape = (4, PLACES, PRODUCTS)
    logging = rng.dirichlet(np.ones(PRODUCTS) * 2, shape[:2]) * 0.9 + 0.1 / PRODUCTS
    clicks = np.array([1.0, 0.6, 0.3])[None, :, None] * rng.uniform(0.02, 0.6, shape)
    target = clicks**3  # knows what people like
    return World(clicks, logging, target / target.sum(axis=2, keepdims=True))


def holds(found: RewardEstimate | None, truth: float) -> bool:
    assert found is not None
    return found.lower <= truth <= found.upper


@pytest.mark.full
@pytest.mark.parametrize("name", ["ips", "snips", "doubly_robust"])
def test_estimates_are_right_on_average_and_their_intervals_hold_the_truth(name: str) -> None:
    one = world()
    model = np.random.default_rng(5).uniform(0, 0.5, one.clicks.shape)  # knows nothing
    found = [getattr(estimate(one.log(seed, model=model), clip=1e9), name) for seed in range(300)]
    values = np.array([each.value for each in found])
    error = values.std() / np.sqrt(len(values))
    slack = 0.002 if name == "snips" else 0.0  # it is only consistent
    assert abs(values.mean() - one.truth) < 3 * error + slack
    # 300 draws of .95 stay above .915 with a chance of .99.
    assert np.mean([holds(each, one.truth) for each in found]) > 0.91
    naive = np.mean([one.log(seed).reward.mean() for seed in range(50)])
    assert abs(naive - one.truth) > 0.02, "what was shown would not tell"


def test_a_good_model_makes_the_doubly_robust_estimate_narrower() -> None:
    one = world()
    plain = estimate(one.log(3)).ips
    with_model = estimate(one.log(3, model=one.clicks)).doubly_robust
    assert plain is not None
    assert with_model is not None
    assert with_model.upper - with_model.lower < 0.9 * (plain.upper - plain.lower)


def test_a_right_model_saves_the_doubly_robust_estimate_from_wrong_propensities() -> None:
    one = world()
    log = one.log(3, answers=4000, model=one.clicks)
    wrong = dataclasses.replace(log, propensity=np.minimum(2 * log.propensity, 1))
    found = estimate(wrong, clip=1e9)
    assert holds(found.doubly_robust, one.truth)
    assert not holds(found.ips, one.truth)


def test_the_policy_that_logged_is_what_it_showed() -> None:
    one = world()
    log = dataclasses.replace(one, target=one.logging).log(4)
    found = estimate(log)
    assert found.ips is not None
    assert found.snips is not None
    assert found.ips.value == pytest.approx(log.reward.mean())
    assert found.snips.value == pytest.approx(log.reward.mean())
    assert found.size == pytest.approx(found.count)
    assert found.support == pytest.approx(1.0)


def test_support_shows_how_much_was_never_shown() -> None:
    one = world()
    logging = one.logging.copy()
    logging[:, :, 0] = 0  # never shown
    logging /= logging.sum(axis=2, keepdims=True)
    never = dataclasses.replace(one, logging=logging)
    found = estimate(never.log(5, answers=20_000))
    assert found.support == pytest.approx(1 - one.target[:, :, 0].mean(), abs=0.02)


def test_correlated_clicks_of_an_answer_widen_the_interval() -> None:
    log = world().log(6)
    apart = dataclasses.replace(log, answer=np.arange(len(log.answer)))
    twice = {
        field.name: np.repeat(getattr(log, field.name), 2) for field in dataclasses.fields(log)
    }
    one, same = estimate(log).snips, estimate(LoggedShows(**twice)).snips
    assert one is not None
    assert same is not None
    assert same.upper - same.lower == pytest.approx(one.upper - one.lower), "no news in a copy"
    assert estimate(apart).snips is not None


def test_weights_above_the_clip_are_cut_and_counted() -> None:
    log = world().log(7)
    raw = log.target / log.propensity
    found = estimate(log, clip=2.0)
    assert found.clipped_share == pytest.approx((raw > 2.0).mean())
    assert found.ips is not None
    assert found.ips.value == pytest.approx((np.minimum(raw, 2.0) * log.reward).mean())
    assert raw.max() < CLIP


def test_a_sampled_row_counts_for_those_it_stands_for() -> None:
    log = world().log(8)
    twice = np.arange(len(log.answer)) % 2 == 0
    heavy = dataclasses.replace(log, weight=np.where(twice, 2.0, 1.0))
    rows = np.repeat(np.arange(len(twice)), np.where(twice, 2, 1))
    copied = LoggedShows(**{f.name: getattr(log, f.name)[rows] for f in dataclasses.fields(log)})
    one, other = estimate(heavy), estimate(dataclasses.replace(copied, weight=np.ones(len(rows))))
    assert one.snips is not None
    assert other.snips is not None
    assert one.snips.value == pytest.approx(other.snips.value)


def rows(count: int, **changes: object) -> LoggedShows:
    values = {
        "answer": np.arange(count),
        "reward": np.ones(count),
        "place": np.ones(count, np.int64),
        **{name: np.ones(count) for name in ("propensity", "target", "weight")},
        **{name: np.zeros(count) for name in ("predicted", "expected")},
        **changes,
    }
    return LoggedShows(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (rows(0), "effective sample size 0"),
        (rows(99), "effective sample size 99"),
        (rows(200, answer=np.arange(200) % 7), "7 answers count"),
        (rows(200, reward=(np.arange(200) < 9) * 1.0), "9 clicks count"),
        (
            rows(400, target=(np.arange(400) < 150) * 1.0),
            "62% of what the policy shows was never shown",
        ),
    ],
)
def test_too_little_is_not_measured(log: LoggedShows, why: str) -> None:
    found = estimate(log)
    assert found.refusal.startswith(f"NOT MEASURED: {why}")
    assert (found.ips, found.snips, found.doubly_robust) == (None, None, None)


def money(draws: np.ndarray) -> LoggedShows:
    """Return answers of one product each, which the logging policy always shows."""
    ones = np.ones(len(draws))
    zeros = np.zeros(len(draws))
    place = ones.astype(np.int64)
    return LoggedShows(np.arange(len(draws)), draws, ones, ones, ones, place, zeros, zeros)


def test_the_interval_of_few_large_rewards_reaches_further_up() -> None:
    rng = np.random.default_rng(3)
    rare = estimate(money(np.exp(2 * rng.standard_normal(200)))).ips
    even = estimate(money(np.tile([0.0, 2.0], 100))).ips
    assert rare is not None
    assert even is not None
    assert rare.upper - rare.value > 1.3 * (rare.value - rare.lower)
    assert even.upper - even.value == pytest.approx(even.value - even.lower)


@pytest.mark.full
def test_intervals_of_skewed_rewards_hold_the_truth() -> None:
    rng, held, truth = np.random.default_rng(4), 0, float(np.exp(0.5))
    for _ in range(1_000):
        found = estimate(money(np.exp(rng.standard_normal(100)))).ips
        assert found is not None
        held += found.lower <= truth <= found.upper
    assert held >= 925  # 914 of normal intervals do


LOOKS = 1 / np.arange(1, 11)
"""Examination of ten places."""


def equal_products(seed: int, *, explored: int, matched: float) -> dict[str, LoggedShows]:
    """Return the logs of two orders of products that are all as attractive. At the explored place
    one of 20 products is drawn; the other order's one is among them with this probability."""
    rng = np.random.default_rng(seed)
    answers, pool, base = 3_000, 20, 0.1
    place = np.tile(np.arange(1, 11), answers)
    count = len(place)
    click = (rng.random(count) < base * LOOKS[place - 1]).astype(float)
    hit = (rng.random(count) < 1 / pool) & (rng.random(count) < matched)
    chance = np.where(place == explored, 1 / pool, 1.0)
    target = np.where(place == explored, hit, 1.0)
    one, zero = np.ones(count), np.zeros(count)
    answer = np.repeat(np.arange(answers), 10)
    return {
        "served": LoggedShows(answer, click, one, one, one, place, zero, zero),
        "other": LoggedShows(answer, click, chance, target, one, place, zero, zero),
    }


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("matched", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("explored", [3, 10])
def test_equal_orders_have_equal_estimates_wherever_one_is_not_known(
    explored: int, matched: float
) -> None:
    """The truth is that of the places at which both orders are known."""
    known = np.ones(10, np.bool_)
    known[explored - 1] = matched > 0
    truth = 0.1 * LOOKS[known].mean()
    held = dict.fromkeys(("served", "other"), 0)
    errors = []
    for seed in range(100):
        served, other = (
            one.estimates.snips
            for one in compared(equal_products(seed, explored=explored, matched=matched))
        )
        assert served is not None
        assert other is not None
        held["served"] += holds(served, truth)
        held["other"] += holds(other, truth)
        errors.append(other.value - served.value)
    least = binom.ppf(0.001, 100, 0.95)
    assert min(held.values()) >= least, held
    assert abs(np.mean(errors)) <= 4 * np.std(errors) / 10 + 1e-12


def test_an_order_that_is_known_at_few_places_is_not_measured_and_hides_no_other() -> None:
    logs = equal_products(1, explored=3, matched=1.0)
    hidden = dataclasses.replace(logs["other"], target=(logs["other"].place <= 4) * 1.0)
    served, other, few = compared({**logs, "few": hidden})
    assert few.estimates.refusal.startswith("NOT MEASURED")
    assert (few.estimates.ips, few.estimates.snips) == (None, None)
    assert served.estimates.count == other.estimates.count == len(logs["served"].place)


def test_a_place_without_any_evidence_is_not_measured() -> None:
    log = equal_products(1, explored=10, matched=0.0)["other"]
    assert estimate(log).refusal.endswith("at place 10 was ever shown there")
