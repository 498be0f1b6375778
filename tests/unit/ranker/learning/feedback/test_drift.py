import math

import numpy as np
import pytest

from ranker.domain.online import Moments
from ranker.learning.feedback.drift import (
    LEAST_COUNT,
    PSI_MATTERS,
    DriftFinding,
    mean,
    mix,
    psi,
    psi_threshold,
    scores,
    share,
    volume,
)

RNG = np.random.default_rng


def sample(values) -> Moments:
    values = np.asarray(values, float)
    return Moments(len(values), float(values.sum()), float(values @ values))


def test_the_index_is_the_one_of_the_books() -> None:
    # Two bins, 50/50 against 80/20 of so many that smoothing is nothing: .3 ln 1.6 + −.3 ln .4.
    found = psi(np.array([5e9, 5e9]), np.array([8e9, 2e9]))
    assert found == pytest.approx(0.3 * math.log(1.6) - 0.3 * math.log(0.4))
    assert psi(np.array([3.0, 7.0]), np.array([3.0, 7.0])) == 0


def test_chance_stays_below_the_threshold_and_a_real_change_does_not() -> None:
    rng, chances = RNG(1), RNG(2).dirichlet(np.ones(12))
    flags = 0
    for _ in range(400):
        old, new = (dict(enumerate(map(int, rng.multinomial(150, chances)))) for _ in range(2))
        flags += mix("x", named(old), named(new)).flagged
    assert flags <= 4  # 400 × .001, with room: the approximation is not exact
    moved = mix("x", {"red": 700, "white": 300}, {"red": 300, "white": 700, "rose": 100})
    assert moved.flagged
    assert moved.text == "red 27%, was 70%; white 64%, was 30%; rose 9%, was 0%"
    assert (moved.reference_count, moved.count) == (1000, 1100)


def named(counts: dict[int, int]) -> dict[str, float]:
    return {str(key): count for key, count in counts.items()}


def test_many_events_of_few_people_prove_little() -> None:
    old, new = {"a": 5_000, "b": 5_000}, {"a": 6_600, "b": 3_400}
    assert mix("x", old, new).threshold == PSI_MATTERS
    few = mix("x", old, new, sizes=(100, 101))
    assert few.threshold == pytest.approx(psi_threshold(2, 100, 101))
    assert mix("x", old, new, sizes=(99, 5_000)).text.startswith("NOT MEASURED: 5,000 now and 99")


def test_rare_values_share_a_bin() -> None:
    many = {f"v{n}": 10.0 for n in range(1_000)}
    assert mix("x", many, many).value == 0
    others = {f"w{n}": 10.0 for n in range(1_000)}
    assert not mix("x", many, others).flagged, "no value is frequent enough to be watched"
    assert mix("x", many, {**many, "new": 10_000.0}).flagged


def test_scores_are_compared_by_the_references_deciles() -> None:
    old = RNG(1).normal(0, 1, 1_000)
    assert not scores("raw_score", old, RNG(2).normal(0, 1, 1_000)).flagged
    assert scores("raw_score", old, RNG(2).normal(1, 1, 1_000)).flagged
    constant = np.ones(200)
    assert scores("raw_score", constant, constant).value == 0
    assert scores("raw_score", constant, constant + 1).flagged


def test_a_volume_is_flagged_when_it_is_unusual_and_the_change_is_large() -> None:
    week = [100, 110, 95, 105, 90, 150, 160]
    assert not volume("v", week * 4, week, least=0.3).flagged
    halved = volume("v", week * 4, [day // 3 for day in week], least=0.3)
    assert halved.flagged
    assert halved.value < 0
    assert halved.text == "38 a day, was 116"
    assert not volume("v", [10_000] * 28, [10_900] * 7, least=0.3).flagged, "sure, but small"
    assert volume("v", week[:6], week, least=0.3).text.startswith("NOT MEASURED")


def test_means_and_shares_are_flagged_when_sure_and_large() -> None:
    old, new = RNG(1).normal(4, 1, 2_000), RNG(2).normal(4, 1, 500)
    assert not mean("rating_mean", sample(old), sample(new), least=0.25).flagged
    lower = mean("rating_mean", sample(old), sample(new - 0.5), least=0.25)
    assert lower.flagged
    assert lower.value < -4
    assert not mean("rating_mean", sample(old), sample(new - 0.2), least=0.25).flagged
    assert mean("m", sample([4.0] * 200), sample([3.0] * 200), least=0.25).flagged, "constants"
    assert not mean("m", sample([4.0] * 200), sample([4.0] * 200), least=0.25).flagged
    assert share("s", (20, 1_000), (200, 1_000), least=0.05).flagged
    assert not share("s", (20, 1_000), (60, 1_000), least=0.05).flagged
    assert share("s", (0, 1_000), (0, 1_000), least=0.05).value == 0


@pytest.mark.parametrize(
    "found",
    [
        mean("m", sample([1.0] * (LEAST_COUNT - 1)), sample([5.0] * 500), least=0.1),
        share("s", (0, 0), (5, 500), least=0.1),
        scores("r", np.zeros(0), np.ones(500)),
        mix("x", {}, {"a": 500}),
        volume("v", [], [], least=0.1),
    ],
)
def test_too_little_is_not_measured_and_no_flag(found: DriftFinding) -> None:
    assert found.text.startswith("NOT MEASURED")
    assert not found.flagged


@pytest.mark.parametrize("degrees", [1, 5, 20])
def test_the_threshold_is_the_quantile_of_what_chance_makes(degrees: int) -> None:
    draws = RNG(3).chisquare(degrees, 400_000)
    size = 10  # so small that chance alone decides
    assert psi_threshold(degrees + 1, size, size) == pytest.approx(
        np.quantile(draws, 0.999) * 2 / size, rel=0.05
    )
