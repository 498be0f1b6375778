"""Columns have the events' values."""

import numpy as np

from ranker.domain.events import EventType, Interaction
from ranker.domain.log import TYPES, UNKNOWN, log_of


def interactions() -> list[Interaction]:
    return [
        Interaction("b", "p2", EventType.PURCHASE, None, 30, "e3", 2, "visit", "order"),
        Interaction("a", "p1", EventType.RATING, 4.5, 10, "e2", session="visit"),
        Interaction("b", "p1", EventType.VIEW, None, 10, "e1"),
    ]


def test_columns_are_in_the_order_of_time_then_event_id() -> None:
    log = log_of(interactions())
    assert (log.actors, log.items) == (("a", "b"), ("p1", "p2"))
    assert log.time.tolist() == [10, 10, 30]
    assert log.actor.tolist() == [1, 0, 1]
    assert log.item.tolist() == [0, 0, 1]
    assert [TYPES[code] for code in log.type] == ["VIEW", "RATING", "PURCHASE"]
    assert np.isnan(log.value).tolist() == [True, False, True]
    assert log.quantity.tolist() == [1, 1, 2]
    assert log.session.tolist() == [UNKNOWN, 0, 0]
    assert log.order.tolist() == [UNKNOWN, UNKNOWN, 0]


def test_a_part_keeps_the_codes() -> None:
    log = log_of(interactions())
    part = log.part(log.is_type(EventType.PURCHASE))
    assert len(part) == 1
    assert part.actors == log.actors
    assert part.actor.tolist() == [1]


def test_no_events_are_an_empty_log() -> None:
    assert len(log_of([])) == 0
