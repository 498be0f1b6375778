"""The counts of a shopper's day."""

import numpy as np
import pytest

from ranker.domain import counting
from ranker.domain.counting import ALL, BOUGHT, HABITS, VIEWED, CountChanges
from ranker.domain.events import DAY_MICROS, EventType, Interaction
from ranker.domain.features import Money
from ranker.domain.signals import DEFAULTS, Signals
from tests.fakes.ranker import NOW, product

DAY = NOW // DAY_MICROS
VIEW, CLICK, PUT = EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART
BUY, RATE = EventType.PURCHASE, EventType.RATING


def did(
    item: str,
    kind: EventType = VIEW,
    minute: int = 0,
    actor: str = "ann",
    *,
    session: str = "",
    order: str = "",
    quantity: int = 0,
    value: float | None = None,
) -> Interaction:
    time = DAY * DAY_MICROS + minute * 60_000_000
    name = f"{actor} {item} {kind} {minute}"
    return Interaction(actor, item, kind, value, time, name, quantity, session, order)


def counted(*said: Interaction, signals: Signals = DEFAULTS) -> CountChanges:
    tally = CountChanges()
    for (_, day), its in counting.days(said, signals).items():
        tally.add(day, counting.content(its, ("country=FR",)), 1)
    return tally


def pairs(tally: CountChanges, kind: str) -> set[str]:
    """Return the pairs of two products, once each."""
    return {f"{a}{b}" for which, a, b in tally.pairs if which == kind and ALL < a < b}


def test_products_of_one_visit_are_viewed_together_and_those_after_a_gap_are_not() -> None:
    tally = counted(did("a"), did("b", CLICK, 10), did("c", minute=50), did("d", minute=51))
    assert pairs(tally, VIEWED) == {"ab", "cd"}
    assert pairs(tally, BOUGHT) == set()


def test_a_session_id_is_a_visit_whatever_lies_between() -> None:
    one, other = {"session": "s"}, {"session": "t"}
    tally = counted(did("a", **one), did("b", minute=1, **other), did("c", minute=300, **one))
    assert pairs(tally, VIEWED) == {"ac"}


def test_a_pair_counts_once_a_day_and_shopper_beside_the_days_of_each_and_of_all() -> None:
    twice = [did(item, minute=at) for at in (0, 100) for item in "ab"]
    tally = counted(*twice, did("a", actor="bob"), did("c", actor="bob"))
    expected = {("a", "b"): 1, ("a", "c"): 1, ("a", "a"): 2, ("b", "b"): 1, ("c", "c"): 1}
    found = {key[1:]: count for key, count in tally.pairs.items()}
    assert found == expected | {("b", "a"): 1, ("c", "a"): 1, (ALL, ALL): 2}


def test_an_order_is_a_basket_and_so_is_the_rest_of_the_day() -> None:
    tally = counted(
        did("a", BUY, order="1"),
        did("b", BUY, order="1"),
        did("c", BUY, 1, order="2"),
        did("d", BUY, 2, order="2"),
        did("e", PUT, 3),
        did("f", BUY, 4),
        did("a", PUT, 5),  # bought in an order
    )
    assert pairs(tally, BOUGHT) == {"ab", "cd", "ef"}


def test_interest_counts_once_a_day_and_pieces_up_to_ten_by_segment_too() -> None:
    tally = counted(
        did("a"), did("a", BUY, 1, quantity=3), did("a", BUY, 2, quantity=50), did("b", PUT, 3)
    )
    segments = (ALL, "country=FR")
    assert tally.shoppers == {(item, one, DAY): 1 for item in ("a", "b", ALL) for one in segments}
    assert tally.pieces == {("a", one, DAY): 10 for one in segments}


def test_low_ratings_are_no_interest() -> None:
    assert counted(did("a", RATE, value=1.0)).shoppers == {}
    assert len(counted(did("a", RATE, value=5.0)).shoppers) == 4


def test_the_last_fifty_products_of_a_visit_count() -> None:
    tally = counted(*(did(f"p{n:02}", minute=n) for n in range(60)))
    alone = {a for _, a, b in tally.pairs if a == b != ALL}
    assert alone == {f"p{n:02}" for n in range(10, 60)}


def test_a_robots_day_counts_nothing_and_its_other_days_do() -> None:
    signals = Signals(robot_events_a_day=5, robot_products_a_day=5, robot_views_a_minute=5)
    busy = [did(f"p{n}", minute=n, actor="bot") for n in range(6)]
    later = [did(item, minute=24 * 60 + 1, actor="bot") for item in "ab"]
    assert pairs(counted(*busy, *later, signals=signals), VIEWED) == {"ab"}


def test_what_is_taken_out_leaves_what_was_there() -> None:
    tally = counted(did("a"), did("b"), did("a", BUY))
    for (_, day), its in counting.days([did("a"), did("b"), did("a", BUY)], DEFAULTS).items():
        tally.add(day, counting.content(its, ("country=FR",)), -1)
    for counts in (tally.pairs, tally.shoppers, tally.pieces):
        assert counts
        assert set(counts.values()) == {0}


def test_habits_are_the_intervals_between_purchases() -> None:
    kept = counting.habits([(40, {"a": 1}), (10, {"a": 1, "b": 2}), (12, {"a": 1})])
    tally = CountChanges()
    tally.add(HABITS, kept, 1)
    gaps = [counting.gap_of(days) for days in (2, 28)]
    assert tally.gaps == {(item, gap): 1 for item in ("a", ALL) for gap in gaps}
    assert counting.habits([(1, {"a": 1}), (2, {"b": 1})]) == counting.NOTHING


@pytest.mark.parametrize("days", [1, 2, 7, 30, 365])
def test_intervals_are_kept_to_a_tenth(days: int) -> None:
    assert counting.gap_days(counting.gap_of(days)) == pytest.approx(days, rel=0.1)


def test_a_count_halves_in_a_half_life() -> None:
    log = counting.decayed(np.array([DAY - 4, DAY]), np.array([4, 1]), 2.0)
    noon = DAY * DAY_MICROS + DAY_MICROS // 2
    assert counting.as_of([log], 2.0, noon).tolist() == pytest.approx([2.0])
    assert counting.decayed(np.array([DAY]), np.array([0]), 2.0) == -np.inf


def test_groups_are_every_category_above_and_the_price_band() -> None:
    wine = product("w", "Wine > Red", price=Money(10_000_000, "EUR"), brand="B", tags=("t",))
    assert counting.groups(wine) == ("category=Wine", "category=Wine > Red", "price_band=EUR:6")
