"""Made shops of known truth, and the report of objectives."""

import numpy as np
import pytest

from bench.harness.model import BenchResult, GoalVerdict
from lab.cases.objectives import (
    ESTIMATORS,
    KINDS,
    LISTED,
    SIZES,
    STRENGTHS,
    Coverage,
    Rise,
    answers,
    examined,
    logged,
    result_of,
)

MET, MISSED = GoalVerdict.MET, GoalVerdict.MISSED
ANSWERS = 20
"""Answers of a shop."""


def _rise(*ratios: float) -> Rise:
    """Return a rise of 1 in each shop that was predicted at these multiples."""
    true = np.ones(len(ratios) * ANSWERS)
    return Rise(
        predicted=np.repeat(ratios, ANSWERS),
        true=true,
        before=4 * true,
        ndcg=-0.1 * true,
        shop=np.repeat(np.arange(len(ratios)), ANSWERS),
    )


def _result(*ratios: float, held: int = 190) -> BenchResult:
    rises = {kind: dict.fromkeys(STRENGTHS, _rise(*ratios)) for kind in KINDS}
    covered = [
        Coverage(name, reward, 0.1, 0.1, held, 200, size, 50.0)
        for size in SIZES
        for reward in ("clicks", "margin")
        for name in ESTIMATORS
    ]
    return result_of(rises, covered)


def _verdicts(result: BenchResult, words: str) -> set[GoalVerdict]:
    found = {each.verdict for each in result.goals if words in each.name}
    assert found
    return found


def test_the_interval_of_a_predicted_rise_is_that_of_the_shops() -> None:
    found = _rise(1.0, 1.1, 1.2).ratio

    assert found.value == pytest.approx(1.1)
    assert 1.0 <= found.low < 1.05
    assert 1.15 < found.high <= 1.2
    assert _rise(1.0, 1.1, 1.2).ratio == found


def test_a_rise_is_as_predicted_if_its_whole_interval_is_within_the_limits() -> None:
    assert _verdicts(_result(1.0, 1.05, 1.1), "predicted rise") == {MET}
    assert _verdicts(_result(0.9, 1.1, 1.3), "predicted rise") == {MISSED}
    assert _verdicts(_result(0.7, 0.8, 1.0), "predicted rise") == {MISSED}


def test_intervals_are_judged_by_the_share_of_runs_that_hold_the_truth() -> None:
    assert _verdicts(_result(1.0, 1.0, held=190), "share of 200 runs") == {MET}
    assert _verdicts(_result(1.0, 1.0, held=189), "share of 200 runs") == {MISSED}


def test_every_estimator_reward_and_number_of_answers_has_a_goal_with_its_interval() -> None:
    goals = [each for each in _result(1.0, 1.0).goals if "share of" in each.name]

    assert len(goals) == len(SIZES) * len(ESTIMATORS) * 2
    for each in goals:
        assert each.measured is not None
        assert each.measured.low < each.measured.value == 0.95 < each.measured.high


def test_the_tables_show_the_predicted_over_the_true_rise_with_its_interval() -> None:
    rises, covered = _result(1.0, 1.1, 1.2).tables

    column = rises.headers.index("predicted ÷ true")
    assert {row[column] for row in rises.rows} == {_rise(1.0, 1.1, 1.2).ratio.shown()}
    assert rises.rows[0][column].startswith("1.100 (1.0")
    assert len(rises.rows) == len(KINDS) * len(STRENGTHS)
    assert {row[6] for row in covered.rows} == {"190 of 200"}


def test_dear_products_sell_less_in_shops_of_the_second_kind_alone() -> None:
    for kind, falls in zip(KINDS, (False, True), strict=True):
        made = answers(500, kind, np.random.default_rng(0))
        sold, dear = made.purchase / made.click, made.price > np.median(made.price)
        assert bool(sold[dear].mean() < 0.8 * sold[~dear].mean()) is falls
        assert (made.purchase <= made.click).all()


def test_impressions_are_the_ten_best_by_score_and_fade_with_their_place() -> None:
    made = answers(2_000, KINDS[0], np.random.default_rng(0))
    found = logged(made, np.random.default_rng(1))

    first, last = (found.clicked[found.rank == rank].mean() for rank in (1, LISTED))
    assert len(found.clicked) == 2_000 * LISTED
    assert first > 3 * last
    assert not (found.bought & ~found.clicked).any()
    assert examined(2).tolist() == pytest.approx([1.0, 2**-0.7])
