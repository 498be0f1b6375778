import pytest

from ranker.model import EventType
from ranker.signals import interest, positives, recent_products
from tests.fakes.ranker import did

RATING, HIDE, UNHIDE = EventType.RATING, EventType.HIDE, EventType.UNHIDE


@pytest.mark.parametrize("what", [EventType.IMPRESSION, EventType.SEARCH, HIDE, UNHIDE])
def test_seeing_searching_and_hiding_say_nothing_for_a_product(what: EventType) -> None:
    assert interest(did("a", "p", what)) == 0


@pytest.mark.parametrize(("stars", "weight"), [(0, 0), (3.0, 0), (3.49, 0), (3.5, 0.7), (5.0, 1.0)])
def test_a_rating_counts_from_three_and_a_half_stars(stars: float, weight: float) -> None:
    assert interest(did("a", "p", RATING, value=stars)) == pytest.approx(weight)


def test_interests_weigh_more_the_closer_they_are_to_buying() -> None:
    order = [EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE]
    weights = [interest(did("a", "p", one)) for one in order]
    assert weights == sorted(weights)
    assert len(set(weights)) == 4


def test_the_newest_event_gives_an_interest_its_time() -> None:
    events = [did("a", "p", EventType.PURCHASE, at=1), did("a", "p", at=5)]
    (one,) = positives(events)
    assert one.time_micros == events[1].time_micros


def test_a_low_rating_takes_back_the_views_before_it_but_not_those_after() -> None:
    low = did("a", "p", RATING, at=2, value=2.0)
    assert positives([did("a", "p", at=1), low]) == ()
    assert len(positives([low, did("a", "p", at=3)])) == 1


def test_a_hidden_product_is_not_liked_until_it_is_unhidden() -> None:
    hidden = [did("a", "p", at=1), did("a", "p", HIDE, at=2)]
    assert positives(hidden) == ()
    (one,) = positives([*hidden, did("a", "p", UNHIDE, at=3)])
    assert one.product_id == "p"


def test_the_order_in_which_events_come_changes_nothing() -> None:
    events = [did("b", "p"), did("a", "q", at=2), did("a", "p", RATING, at=1, value=4.0)]
    assert positives(events) == positives(events[::-1])


def test_recent_products_are_newest_first_once_each_without_hidden_and_disliked_ones() -> None:
    newest_first = [
        did("a", "p4", at=9),
        did("a", "p3", RATING, at=8, value=1.0),
        did("a", "p1", at=7),
        did("a", "p3", at=6),
        did("a", "p2", at=5),
        did("a", "p4", at=4),
    ]
    assert recent_products(newest_first, frozenset({"p2"})) == ("p4", "p1")
