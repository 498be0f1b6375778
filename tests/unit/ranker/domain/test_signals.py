import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.events import DAY_MICROS, EventType, Interaction
from ranker.domain.log import log_of
from ranker.domain.signals import (
    DEFAULTS,
    INTEREST,
    Signals,
    event_weights,
    interests,
    last_interests,
    recent_products,
    robots,
    sessions,
)
from tests.fakes.ranker import NOW, did

VIEW, CLICK, CART, PURCHASE = (
    EventType.VIEW,
    EventType.CLICK,
    EventType.ADD_TO_CART,
    EventType.PURCHASE,
)
RATING, HIDE, UNHIDE = EventType.RATING, EventType.HIDE, EventType.UNHIDE
AGELESS = Signals(half_life_days=0)
SECOND = 1_000_000


class Liking(NamedTuple):
    """A shopper's interest in a product."""

    actor: str
    product_id: str
    weight: float
    time_micros: int


def positives(
    events: Sequence[Interaction], signals: Signals = DEFAULTS, now: int | None = None
) -> tuple[Liking, ...]:
    """Return the columns of interests as rows."""
    found = interests(log_of(events), signals, now)
    columns = (found.actor, found.item, found.weight, found.time)
    return tuple(
        Liking(found.actors[actor], found.items[item], weight, time)
        for actor, item, weight, time in zip(*(one.tolist() for one in columns), strict=True)
    )


def alone(event: Interaction, signals: Signals = DEFAULTS) -> float:
    """Return the interest of one event alone."""
    log = log_of([event])
    return float(event_weights(log.type, log.value, log.quantity, signals)[0])


@pytest.mark.parametrize("what", [EventType.IMPRESSION, EventType.SEARCH, HIDE, UNHIDE])
def test_seeing_searching_and_hiding_say_nothing_for_a_product(what: EventType) -> None:
    assert alone(did("a", "p", what)) == 0


@pytest.mark.parametrize(
    ("stars", "weight"), [(0, 0), (2.0, 0), (2.99, 0), (3.0, 0.6), (4, 0.8), (5.0, 1.0)]
)
def test_a_rating_counts_from_three_stars(stars: float, weight: float) -> None:
    assert alone(did("a", "p", RATING, value=stars)) == pytest.approx(weight)


def test_how_much_less_four_stars_say_than_five_is_a_setting() -> None:
    four = did("a", "p", RATING, value=4)
    found = [alone(four, Signals(rating_power=power)) for power in (0, 1, 2)]
    assert found == pytest.approx([1, 0.8, 0.64])
    assert alone(did("a", "p", RATING, value=0), Signals(liked_rating=0)) == 0


def test_interests_weigh_more_the_closer_they_are_to_buying() -> None:
    weights = [alone(did("a", "p", one)) for one in (VIEW, CLICK, CART, PURCHASE)]
    assert weights == sorted(weights)
    assert len(set(weights)) == 4


def test_three_pieces_say_as_much_as_one_piece_bought_three_times() -> None:
    one = did("a", "p", CART)
    at_once = alone(one._replace(quantity=3))
    (one_by_one,) = positives([did("a", "p", CART, at=n) for n in range(3)], AGELESS)
    assert at_once == pytest.approx(one_by_one.weight)
    assert alone(did("a", "p", VIEW)._replace(quantity=3)) == alone(did("a", "p", VIEW))


def test_repeats_say_more_but_less_each_time_and_never_more_than_certainty() -> None:
    weights = []
    for count in range(1, 30):
        (one,) = positives([did("a", "p", at=n) for n in range(count)], AGELESS)
        weights.append(one.weight)
    gains = np.diff(weights, prepend=0)
    assert (gains > 0).all()
    assert (np.diff(gains) < 0).all()
    assert weights[-1] < 1


def test_an_event_counts_half_after_its_half_life_and_never_more_than_now() -> None:
    half_life = Signals(half_life_days=2)
    old, new = did("a", "old", at=-48), did("a", "new")
    weights = {one.product_id: one.weight for one in positives([old, new], half_life)}
    assert weights["old"] == pytest.approx(weights["new"] / 2)
    ahead = positives([new], half_life, now=NOW - DAY_MICROS)
    assert ahead[0].weight == weights["new"]


def test_the_newest_event_gives_an_interest_its_time() -> None:
    events = [did("a", "p", PURCHASE, at=1), did("a", "p", at=5)]
    (one,) = positives(events)
    assert one.time_micros == events[1].time_micros


def test_a_low_rating_takes_back_the_views_before_it_but_not_those_after() -> None:
    low = did("a", "p", RATING, at=2, value=2.0)
    assert positives([did("a", "p", at=1), low]) == ()
    (one,) = positives([did("a", "p", PURCHASE, at=1), low, did("a", "p", at=3)])
    assert one.weight == pytest.approx(DEFAULTS.view)


def test_a_hidden_product_is_not_liked_until_it_is_unhidden() -> None:
    hidden = [did("a", "p", at=1), did("a", "p", HIDE, at=2)]
    assert positives(hidden) == ()
    (one,) = positives([*hidden, did("a", "p", UNHIDE, at=3)])
    assert one.product_id == "p"


def test_hides_and_low_ratings_are_dislikes_and_silence_is_none() -> None:
    found = interests(
        log_of(
            [
                did("a", "hidden", HIDE),
                did("a", "low", at=1),
                did("a", "low", RATING, at=2, value=1.0),
                did("a", "forgiven", RATING, at=2, value=1.0),
                did("a", "forgiven", at=3),
                did("a", "back", HIDE, at=1),
                did("a", "back", UNHIDE, at=2),
                did("b", "hidden", at=3),
            ]
        )
    )
    disliked = zip(found.disliked_actor.tolist(), found.disliked_item.tolist(), strict=True)
    named = {(found.actors[actor], found.items[item]) for actor, item in disliked}
    assert named == {("a", "hidden"), ("a", "low")}
    liked = {
        (found.actors[a], found.items[i]) for a, i in zip(found.actor, found.item, strict=True)
    }
    assert liked == {("a", "forgiven"), ("b", "hidden")}


def test_the_order_in_which_events_come_changes_nothing() -> None:
    events = [did("b", "p"), did("a", "q", at=2), did("a", "p", RATING, at=1, value=4.0)]
    assert positives(events) == positives(events[::-1])


def test_the_columns_say_what_a_walk_through_the_events_says() -> None:
    """Compare with the definition, implemented plainly."""
    rng = random.Random(5)
    events = [
        Interaction(
            actor=rng.choice("abc"),
            product_id=rng.choice("pqrs"),
            type=rng.choice(list(EventType)),
            value=rng.choice([None, 0.0, 2.0, 3.5, 5.0]),
            time_micros=NOW - rng.randrange(400) * DAY_MICROS,
            event_id=f"e{n}",
            quantity=rng.choice([0, 1, 4]),
        )
        for n in range(400)
    ]
    expected = plainly(events, DEFAULTS, NOW)
    found = {(one.actor, one.product_id): one.weight for one in positives(events, now=NOW)}
    assert found.keys() == expected.keys()
    assert len(found) > 3
    for pair, weight in found.items():
        assert weight == pytest.approx(expected[pair])


def plainly(
    events: Sequence[Interaction], signals: Signals, now: int
) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for pair in itertools.product("abc", "pqrs"):
        theirs = [one for one in events if (one.actor, one.product_id) == pair]
        unsure, hidden = 1.0, False
        for one in sorted(theirs, key=lambda one: (one.time_micros, one.event_id)):
            weight = signals.weights.get(one.type, 0.0)
            if one.type in (CART, PURCHASE):
                weight = 1 - (1 - weight) ** max(one.quantity, 1)
            if one.type is RATING:
                stars = one.value or 0.0
                weight = stars / 5 if stars >= signals.liked_rating else 0.0
                unsure = unsure if weight else 1.0
            hidden = {HIDE: True, UNHIDE: False}.get(one.type, hidden)
            days = (now - one.time_micros) / DAY_MICROS
            unsure *= 1 - weight * 0.5 ** (days / signals.half_life_days)
        if unsure < 1 and not hidden:
            found[pair] = 1 - unsure
    return found


def test_no_events_are_no_interests() -> None:
    assert len(interests(log_of([]))) == 0
    assert len(sessions(log_of([]))) == 0


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from(sorted(INTEREST)),
            st.integers(0, 9),
            st.none() | st.sampled_from([0.0, 2.0, 3.5, 5.0]),
        ),
        max_size=20,
    ),
    hidden=st.frozensets(st.sampled_from("abcd")),
    view=st.sampled_from([0.0, 0.3]),
)
def test_recent_products_are_those_of_the_weighed_interests(
    events: list[tuple[str, EventType, int, float | None]], hidden: frozenset[str], view: float
) -> None:
    signals = Signals(view=view)
    one_each = {
        did("ann", product, kind, at, value if kind is EventType.RATING else None).event_id: did(
            "ann", product, kind, at, value if kind is EventType.RATING else None
        )
        for product, kind, at, value in events
    }
    newest_first = sorted(
        one_each.values(), key=lambda event: (event.time_micros, event.event_id), reverse=True
    )
    liked = [one for one in positives(newest_first, signals) if one.product_id not in hidden]
    liked.sort(key=lambda one: (-one.time_micros, one.product_id))
    expected = tuple(one.product_id for one in liked)
    assert recent_products(newest_first, hidden, signals) == expected


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


def test_last_interests_weigh_what_events_say_and_later_products_more() -> None:
    newest_first = [
        did("a", "p3", CART, at=9),
        did("a", "p2", at=8),
        did("a", "p3", at=7),
        did("a", "p1", RATING, at=6, value=5.0),
        did("a", "p0", at=5),
    ]
    found = last_interests(newest_first, frozenset(), 3)
    assert list(found) == ["p3", "p2", "p1"]
    assert found == pytest.approx({"p3": 1 - 0.2 * 0.7, "p2": 0.9 * 0.3, "p1": 0.81})


def test_a_low_rating_cancels_what_came_before_it() -> None:
    newest_first = [
        did("a", "p1", at=3),
        did("a", "p1", RATING, at=2, value=1.0),
        did("a", "p1", CART, at=1),
    ]
    assert last_interests(newest_first, frozenset(), 5) == pytest.approx({"p1": 0.3})


@given(
    kind=st.sampled_from(sorted(INTEREST)),
    value=st.none() | st.sampled_from([0.0, 2.0, 3.5, 5.0]),
    quantity=st.integers(0, 3),
)
def test_last_interests_weigh_an_event_as_trainings_do(
    kind: EventType, value: float | None, quantity: int
) -> None:
    one = did("ann", "p", kind, 0, value)._replace(quantity=quantity)
    log = log_of([one])
    weight = float(event_weights(log.type, log.value, log.quantity)[0])
    assert last_interests([one], frozenset(), 1) == pytest.approx({"p": weight} if weight else {})


def looks(actor: str, times: Sequence[int], what: EventType = VIEW) -> list[Interaction]:
    """Return views of a different product each, at these microseconds after NOW."""
    return [
        Interaction(actor, f"p{n}", what, 4.0, NOW + at, f"{actor}{n}")
        for n, at in enumerate(times)
    ]


FEW = Signals(robot_events_a_day=20, robot_products_a_day=10, robot_views_a_minute=5)
MINUTES = [n * 60 * SECOND for n in range(200)]


@pytest.mark.parametrize(
    ("events", "flagged"),
    [
        (looks("a", MINUTES[:10]), False),
        (looks("a", MINUTES[:11]), True),  # different products on a day
        ([did("a", "p") for _ in range(5)], False),
        (looks("a", [n * 11 * SECOND for n in range(6)]), True),  # in a minute
        (looks("a", [n * 13 * SECOND for n in range(6)]), False),
        (looks("a", [0] * 8, RATING), False),  # many ratings at once are no haste
        ([did("a", f"p{n % 3}", CART) for n in range(21)], True),  # events on a day
        (looks("a", [n * DAY_MICROS // 4 for n in range(60)]), False),
        ([did("a", f"p{n}", EventType.IMPRESSION) for n in range(99)], False),
    ],
)
def test_a_robot_does_more_than_a_person_can(events: list[Interaction], flagged: bool) -> None:
    log = log_of([*events, did("somebody", "p")])
    assert robots(log, FEW).tolist() == [flagged, False]


def test_a_robots_interests_add_up_to_no_more_than_their_cap_in_their_proportions() -> None:
    many = looks("robot", MINUTES[:50], PURCHASE)
    log = log_of([*many, did("robot", "viewed", at=9), *looks("person", MINUTES[:9], PURCHASE)])
    found = interests(log, FEW)
    totals = np.bincount(found.actor, found.weight)
    person, robot = found.actors.index("person"), found.actors.index("robot")
    assert totals[robot] == pytest.approx(FEW.robot_weight)
    assert totals[person] == pytest.approx(9 * DEFAULTS.purchase, rel=0.01)
    theirs = found.weight[found.actor == robot]
    assert theirs.min() / theirs.max() == pytest.approx(DEFAULTS.view / DEFAULTS.purchase, rel=0.01)


def visit(actor: str, minute: float, session: str = "") -> Interaction:
    time = NOW + round(minute * 60) * SECOND
    return Interaction(actor, "p", VIEW, None, time, f"{actor}{minute:06.2f}", session=session)


@pytest.mark.parametrize(
    ("events", "visits"),
    [
        ([visit("a", 0), visit("a", 30), visit("a", 60.1)], [0, 0, 1]),
        ([visit("a", 0), visit("b", 1), visit("a", 2)], [0, 1, 0]),
        # An id holds a visit together, and apart, whatever the clock says.
        ([visit("a", 0, "s"), visit("a", 300, "s")], [0, 0]),
        ([visit("a", 0, "s"), visit("a", 1, "t"), visit("a", 2, "s")], [0, 1, 0]),
        ([visit("a", 0, "s"), visit("b", 1, "s")], [0, 1]),
        # What has no id belongs to the visit before it.
        ([visit("a", 0, "s"), visit("a", 10), visit("a", 50)], [0, 0, 1]),
        ([visit("a", 0), visit("a", 10, "s"), visit("a", 20)], [0, 1, 1]),
    ],
)
def test_a_visit_goes_by_its_id_else_by_pauses(
    events: list[Interaction], visits: list[int]
) -> None:
    found = sessions(log_of(events)).tolist()
    numbers = {code: number for number, code in enumerate(dict.fromkeys(found))}
    assert [numbers[code] for code in found] == visits


def test_a_longer_pause_is_a_setting() -> None:
    log = log_of([visit("a", 0), visit("a", 100)])
    assert len(set(sessions(log, 99).tolist())) == 2
    assert len(set(sessions(log, 100).tolist())) == 1
