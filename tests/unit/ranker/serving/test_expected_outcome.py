"""Expected clicks, purchases, revenue and margin of an order, by learned chances."""

from dataclasses import replace

import numpy as np
import pytest

from ranker.domain.events import EventType
from ranker.domain.model import Calibration, Model
from ranker.serving.expected_outcome import ExpectedOutcome, KnownOffers, expected_outcome
from ranker.serving.ranking.objective import Offers
from tests.fakes.ranker import model

SCORES = {"a": 3.0, "b": 2.0, "c": 1.0}
EXAMINED = (1.0, 0.5, 0.25)


def learned(**changes: object) -> Model:
    """Return a model in which a click has a tenth of the score as its chance, a purchase a
    hundredth."""
    clicks, purchases = (
        Calibration(event, np.array([0.0, 5.0]), np.array([0.0, 5 * scale]), 1000)
        for event, scale in ((EventType.CLICK, 0.1), (EventType.PURCHASE, 0.01))
    )
    made = replace(model({"a": [0.0]}), calibration=clicks, purchases=purchases)
    return replace(made, **{"examination": EXAMINED, **changes})  # type: ignore[arg-type]


def known(
    ids: tuple[str, ...] = ("a", "b", "c"),
    prices: tuple[int, ...] = (10, 20, 40),
    costs: tuple[int, ...] = (4, 4, 50),
) -> KnownOffers:
    def micros(values: tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([-1 if one < 0 else one * 1_000_000 for one in values], np.int64)

    currencies = ["EUR"] * len(ids)
    return KnownOffers(ids, Offers(micros(prices), currencies, micros(costs), currencies))


def found(
    order: tuple[str, ...], offers: KnownOffers | None = None, made: Model | None = None
) -> ExpectedOutcome:
    outcome = expected_outcome(order, SCORES, offers, learned() if made is None else made)
    assert outcome is not None
    return outcome


def less(value: float | None, other: float | None) -> float:
    assert value is not None
    assert other is not None
    return value - other


def test_each_place_counts_by_its_chance_of_being_examined() -> None:
    outcome = found(("a", "b", "c"), known())
    assert outcome.clicks == pytest.approx(0.3 + 0.5 * 0.2 + 0.25 * 0.1)
    assert outcome.purchases == pytest.approx(0.03 + 0.5 * 0.02 + 0.25 * 0.01)
    assert outcome.revenue == pytest.approx(0.3 + 0.5 * 0.4 + 0.25 * 0.4)
    assert outcome.margin == pytest.approx(0.03 * 6 + 0.5 * 0.02 * 16 - 0.25 * 0.01 * 10)
    assert outcome.currency == "EUR"


def test_an_order_by_margin_gains_margin_and_loses_clicks() -> None:
    before, after = found(("a", "b", "c"), known()), found(("b", "a", "c"), known())
    assert less(after.clicks, before.clicks) == pytest.approx(-0.05)
    assert less(after.margin, before.margin) == pytest.approx(0.5 * (0.02 * 16 - 0.03 * 6))


def test_a_product_without_a_score_takes_its_place_and_one_without_a_price_counts_as_0() -> None:
    assert found(("x", "a"), known()).clicks == pytest.approx(0.5 * 0.3)
    part = found(("a", "b"), known(("b",), (20,), (4,)))
    assert part.revenue == pytest.approx(0.5 * 0.4)
    assert part.margin == pytest.approx(0.5 * 0.02 * 16)


def test_places_behind_the_last_known_one_are_examined_like_it() -> None:
    short = learned(examination=(1.0, 0.5))
    assert found(("a", "b", "c"), made=short).clicks == pytest.approx(0.3 + 0.5 * (0.2 + 0.1))


def test_what_is_unknown_is_none() -> None:
    without = found(("a", "b"))
    assert (without.revenue, without.margin, without.currency) == (None, None, "")
    assert found(("a", "b"), known(costs=(-1, -1, -1))).margin is None
    clicks = found(("a",), known(), learned(purchases=None))
    assert clicks.clicks == pytest.approx(0.3)
    assert clicks.purchases is clicks.revenue is clicks.margin is None


@pytest.mark.parametrize(
    "made",
    [None, learned(examination=()), learned(calibration=None, purchases=None)],
    ids=["no model", "no examination", "no chances"],
)
def test_without_learned_chances_there_is_no_outcome(made: Model | None) -> None:
    assert expected_outcome(("a", "b"), SCORES, known(), made) is None
