"""Expected values by an objective, and the order by them."""

from dataclasses import replace

import numpy as np
import pytest

from ranker.domain.events import EventType
from ranker.domain.model import Calibration
from ranker.serving.ranking.diversity import MoveCause, RankedColumns, RankPolicy, arrange
from ranker.serving.ranking.objective import (
    NoteCause,
    ObjectiveGoal,
    Offers,
    ScoreNote,
    expected,
    toward,
)
from tests.fakes.ranker import model

SCORES = np.array([3.0, 2.0, 1.0])


def calibration(event: EventType = EventType.CLICK, scale: float = 0.1) -> Calibration:
    return Calibration(event, np.array([0.0, 5.0]), np.array([0.0, scale * 5]), 1000)


def offers(prices=(10, 20, 40), costs=(4, 4, 39), currency="EUR") -> Offers:
    def micros(values):
        return np.array([-1 if one is None else round(one * 1e6) for one in values], np.int64)

    return Offers(micros(prices), [currency] * len(prices), micros(costs), [currency] * len(costs))


PLAIN = model({"a": [0.0]})


def learned(**changes):
    return replace(PLAIN, calibration=calibration(), **changes)


def test_clicks_are_the_calibrated_chances() -> None:
    found = expected(ObjectiveGoal.CLICKS, SCORES, None, learned())
    np.testing.assert_allclose(found.values, [0.3, 0.2, 0.1])
    assert found.notes == ()


def test_below_the_scores_that_were_seen_chances_fall_along_the_trend() -> None:
    def logistic(scores):
        return 1 / (1 + np.exp(3 - np.asarray(scores)))

    seen = np.array([1.0, 2.0, 3.0])
    known = replace(PLAIN, calibration=Calibration(EventType.CLICK, seen, logistic(seen), 1000))
    given = np.array([9.0, 3.0, 2.5, 1.0, 0.0, -4.0])
    found = expected(ObjectiveGoal.CLICKS, given, None, known).values
    np.testing.assert_allclose(found[3:], logistic(given[3:]))
    assert found[0] == found[1] == pytest.approx(0.5)
    flat = Calibration(EventType.CLICK, np.array([1.0]), np.array([0.0]), 1000)
    single = expected(ObjectiveGoal.CLICKS, given, None, replace(PLAIN, calibration=flat))
    assert (single.values >= 0).all()
    assert (single.values < 1e-5).all()


def test_purchases_have_a_calibration_of_their_own() -> None:
    bought = learned(purchases=calibration(EventType.PURCHASE, 0.01), purchases_per_click=0.5)
    found = expected(ObjectiveGoal.CONVERSION, SCORES, None, bought)
    np.testing.assert_allclose(found.values, [0.03, 0.02, 0.01])
    assert found.notes == ()


def test_with_too_few_purchases_they_follow_clicks_which_is_noted() -> None:
    found = expected(ObjectiveGoal.CONVERSION, SCORES, None, learned(purchases_per_click=0.5))
    np.testing.assert_allclose(found.values, [0.15, 0.1, 0.05])
    assert found.notes == (ScoreNote(NoteCause.CHANCE_BY_CLICKS),)


@pytest.mark.parametrize("known", [None, PLAIN, learned()], ids=["none", "plain", "clicks"])
def test_without_events_a_formula_replaces_the_chance_which_is_noted(known) -> None:
    found = expected(ObjectiveGoal.CONVERSION, SCORES, None, known)
    np.testing.assert_allclose(found.values, [1, 10**-0.5, 0.1])
    assert found.notes == (ScoreNote(NoteCause.CHANCE_BY_FORMULA),)


def test_revenue_and_margin_count_price_and_cost() -> None:
    bought = learned(purchases=calibration(EventType.PURCHASE, 0.01))
    revenue = expected(ObjectiveGoal.REVENUE, SCORES, offers(), bought)
    np.testing.assert_allclose(revenue.values, [0.3, 0.4, 0.4])
    margin = expected(ObjectiveGoal.MARGIN, SCORES, offers(), bought)
    np.testing.assert_allclose(margin.values, [0.18, 0.32, 0.01])


def test_a_cost_above_the_price_is_a_loss() -> None:
    bought = learned(purchases=calibration(EventType.PURCHASE, 0.01))
    found = expected(ObjectiveGoal.MARGIN, SCORES, offers(costs=(12, 4, 39)), bought)
    assert found.values[0] == pytest.approx(-0.06)


def test_products_without_a_cost_or_in_another_currency_have_no_value_and_are_counted() -> None:
    given = replace(
        offers(prices=(10, None, 40), costs=(4, 4, None)), currencies=["EUR", "EUR", "USD"]
    )
    found = expected(ObjectiveGoal.MARGIN, SCORES, given, None)
    assert np.isfinite(found.values).tolist() == [True, False, False]
    assert found.notes[1:] == (
        ScoreNote(NoteCause.NUMBER_MISSING, 1),
        ScoreNote(NoteCause.OTHER_CURRENCY, 1),
    )
    nothing = expected(ObjectiveGoal.REVENUE, SCORES, None, None)
    assert np.isnan(nothing.values).all()
    assert ScoreNote(NoteCause.NUMBER_MISSING, 3) in nothing.notes


def test_products_without_a_value_keep_their_relevance() -> None:
    relevance = np.array([1.0, 0.6, 0.5, 0.0])
    found = toward(relevance, np.array([1.0, np.nan, 9.0, 5.0]), 0.5)
    np.testing.assert_allclose(found, [0.5, 0.6, 0.75, 0.25])
    np.testing.assert_array_equal(toward(relevance, np.full(4, np.nan), 1.0), relevance)
    np.testing.assert_array_equal(toward(relevance, np.full(4, 2.0), 1.0), relevance)


def shelf(values) -> RankedColumns:
    count = len(values)
    return RankedColumns(
        ids=[f"p{n}" for n in range(count)],
        raw_scores=np.arange(count, 0, -1.0),
        brands=[""] * count,
        categories=[""] * count,
        styles=None,
        shares=None,
        new=np.zeros(count, bool),
        expected=np.array(values, float),
    )


def test_a_full_strength_orders_by_expected_values_and_names_the_moves() -> None:
    policy = RankPolicy(objective=ObjectiveGoal.MARGIN, objective_strength=1.0)
    found = arrange(shelf([1, 4, 2, 3]), policy, b"")
    assert found.order.tolist() == [1, 3, 2, 0]
    assert found.moves[MoveCause.OBJECTIVE].tolist() == [1, 2, 0, -3]
    assert (found.propensities == 1).all()


def test_products_after_the_window_stay() -> None:
    policy = RankPolicy(objective=ObjectiveGoal.MARGIN, objective_strength=1.0, window=2)
    assert arrange(shelf([1, 4, 2, 9]), policy, b"").order.tolist() == [1, 0, 2, 3]


def test_a_strength_of_0_is_off() -> None:
    assert not RankPolicy(objective=ObjectiveGoal.MARGIN).steps
