import json
from dataclasses import replace

import pytest

from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.features import Money
from ranker.domain.logged import Illegible, OfLaterRelease, key, packed, unpacked
from tests.fakes.ranker import stored

FULL = stored(
    "e1",
    type=EventType.PURCHASE,
    shopper=Shopper(Identity.USER, "ann@example.org"),
    session_id="visit-of-ann",
    value=1.5,
    quantity=2,
    unit_price=Money(12_340_000, "EUR"),
    order_id="o",
    position=3,
    scene="home",
    attribution_token="t",
    query="rosé\n",
    unproven=True,
    new_visitor=True,
    answer_id="a1",
    arm="x/y",
)


@pytest.mark.parametrize("given", [FULL, stored("e2"), replace(FULL, sample_share=0.25)])
def test_an_event_comes_back_but_for_whose_it_was(given) -> None:
    nobody = replace(given, event=replace(given.event, shopper=None, session_id=""))
    assert unpacked(packed(given)) == nobody


def test_neither_message_nor_key_says_whose_it_was() -> None:
    for text in (packed(FULL), key(FULL)):
        assert b"ann" not in text


def test_a_shoppers_events_share_a_key_and_no_other_shoppers() -> None:
    assert key(FULL) == key(replace(FULL, event=stored("e9").event))
    assert len({key(FULL), key(stored("e1")), key(stored("e1", "other"))}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "ann"},
        {"session": "s"},
        {"digest": "xy"},
        {"type": "BUY"},
        {"time_micros": None},
        {"received_micros": "soon"},
        {"catalog_id": "A B"},
        {"unit_price": {"micros": 1}},
    ],
)
def test_what_no_ranker_wrote_is_reported(change: dict[str, object]) -> None:
    message = json.loads(packed(FULL)) | change
    with pytest.raises(Illegible) as caught:
        unpacked(json.dumps(message).encode())
    assert FULL.actor not in str(caught.value)


@pytest.mark.parametrize(
    "message", [b"", b"{}", b"[]", b"\xff", b'{"format":1}', b'{"format":"a"}']
)
def test_what_is_no_event_at_all_is_reported(message: bytes) -> None:
    with pytest.raises(Illegible):
        unpacked(message)


def test_fields_that_are_added_do_no_harm_and_a_later_format_is_not_guessed_at() -> None:
    message = json.loads(packed(FULL))
    assert unpacked(json.dumps({**message, "mood": "good"}).encode()).event.event_id == "e1"
    with pytest.raises(OfLaterRelease):
        unpacked(json.dumps({**message, "format": 2}).encode())
