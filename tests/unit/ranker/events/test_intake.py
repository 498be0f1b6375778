import math
from uuid import UUID

import pytest

from ranker.domain.events import Event, EventType, Identity, Shopper, StoredAs
from ranker.domain.features import Money
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.intake import Appended, StoredTexts, append, check
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid
from tests.fakes.ranker import KEY, NOW, FakeWriter, event

FIVE_MINUTES = 5 * 60 * 1_000_000


async def appended(*events, writer=None, now=NOW):
    return await append("default", events, KEY, (writer or FakeWriter()).append, lambda: now)


async def test_a_bad_event_never_fails_the_rest() -> None:
    writer = FakeWriter()
    done = await appended(event("e1"), event("e2", value=math.nan), event("e3"), writer=writer)
    assert [error and error.reason for error in done.errors] == [None, "EVENT_INVALID", None]
    assert done.written_count == 2
    assert set(writer.stored) == {"e1", "e3"}


async def test_the_same_content_again_counts_once_and_other_content_is_refused() -> None:
    writer = FakeWriter()
    await appended(event("e1"), writer=writer)
    again = await appended(event("e1"), event("e1", product_id="p2"), writer=writer)
    assert (again.written_count, again.duplicate_count) == (0, 1)
    assert again.errors[0] is None
    assert again.errors[1] is not None
    assert again.errors[1].reason == "EVENT_CONFLICT"


async def test_a_retry_whose_token_expired_meanwhile_is_the_same_event() -> None:
    writer, token = FakeWriter(), {"attribution_token": "t"}
    await appended(event("e1", **token, answer_id="a1"), writer=writer)
    again = await appended(event("e1", **token, answer_id=""), writer=writer)
    assert (again.errors, again.duplicate_count) == ((None,), 1)


@pytest.mark.parametrize("answer_id", ["a b", "a" * 65, "ä"])
async def test_an_answer_id_that_none_can_have_is_refused(answer_id: str) -> None:
    error = check(event("e1", answer_id=answer_id), NOW)
    assert error is not None
    assert [one.field for one in error.violations] == ["answer_id"]


async def test_a_retry_without_a_time_is_the_same_event_although_time_has_passed() -> None:
    writer = FakeWriter()
    first = await appended(event("e1", time_micros=None), writer=writer)
    again = await appended(event("e1", time_micros=None), writer=writer, now=NOW + 1)
    assert (first.written_count, again.duplicate_count) == (1, 1)
    assert writer.stored["e1"].event.time_micros == NOW


@pytest.mark.parametrize(
    "change",
    [
        {"shopper": Shopper(Identity.VISITOR, "ann")},
        {"type": EventType.CLICK},
        {"product_id": "p2"},
        {"session_id": "s"},
        {"time_micros": NOW - 1},
        {"value": 1.0},
        {"quantity": 1},
        {"unit_price": Money(1, "EUR")},
        {"order_id": "o"},
        {"position": 1},
        {"scene": "home"},
        {"attribution_token": "t"},
        {"query": "red"},
    ],
)
async def test_every_field_belongs_to_the_content(change: dict[str, object]) -> None:
    writer = FakeWriter()
    await appended(event("e1"), writer=writer)
    again = await appended(event("e1", **change), writer=writer)
    assert again.errors[0] is not None
    assert again.errors[0].reason == "EVENT_CONFLICT"


async def test_what_is_handed_to_the_record_names_nobody() -> None:
    writer = FakeWriter()
    await appended(event("e1", session_id="visit-of-ann"), writer=writer)
    stored = writer.stored["e1"]
    assert stored.actor == KEY.of("default", Shopper(Identity.USER, "ann"))
    assert stored.session == KEY.of_session("default", "visit-of-ann")
    assert stored.key_id == KEY.key_id


async def test_an_event_that_could_not_be_read_stays_an_error_of_its_own() -> None:
    unread = RequestInvalid(FieldViolation("x", "is odd"))
    done = await appended(unread, event("e2"))
    assert done.errors == (unread, None)


async def test_a_batch_of_bad_events_writes_nothing() -> None:
    done = await appended(event("e1", type=None))
    assert done.written_count == 0


@pytest.mark.parametrize(("ahead", "reason"), [(0, None), (1, "EVENT_TIME_INVALID")])
def test_a_clock_may_be_five_minutes_ahead(ahead: int, reason: str | None) -> None:
    error = check(event(time_micros=NOW + FIVE_MINUTES + ahead), NOW)
    assert (error and error.reason) == reason


def test_the_past_is_always_fine() -> None:
    assert check(event(time_micros=-1), NOW) is None


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("event_id", event("")),
        ("event_id", event("é" * 65)),
        ("event_id", event("a\nb")),
        ("type", event(type=None)),
        ("shopper", event(shopper=None)),
        ("shopper.user_id", event(shopper=Shopper(Identity.USER, ""))),
        ("shopper.visitor_id", event(shopper=Shopper(Identity.VISITOR, "v" * 129))),
        ("product_id", event(product_id="")),
        ("product_id", event(product_id="e\u0301")),
        ("product_id", event(product_id="(not set)")),
        ("product_id", event(product_id="undefined", type=EventType.SEARCH)),
        ("shopper.user_id", event(shopper=Shopper(Identity.USER, "NaN"))),
        ("shopper.visitor_id", event(shopper=Shopper(Identity.VISITOR, f"{UUID(int=0)}"))),
        ("session_id", event(session_id="s" * 129)),
        ("value", event(type=EventType.RATING)),
        ("value", event(type=EventType.RATING, value=5.5)),
        ("value", event(type=EventType.RATING, value=math.inf)),
        ("value", event(value=-1.0)),
        ("quantity", event(quantity=-1)),
        ("quantity", event(quantity=1_000_001)),
        ("position", event(position=-1)),
        ("unit_price", event(unit_price=Money(-1, "EUR"))),
        ("unit_price.currency_code", event(unit_price=Money(1, "eur"))),
        ("order_id", event(order_id="o" * 129)),
        ("scene", event(scene="s" * 65)),
        ("attribution_token", event(attribution_token="t" * 1025)),
        ("query", event(query="q" * 513)),
        ("query", event(query="a\0b")),
        ("unit_price.currency_code", event(unit_price=Money(1, "ÄÖÜ"))),
        ("unit_price.currency_code", event(unit_price=Money(1, "E2R"))),
    ],
)
def test_a_field_out_of_its_range_is_named(field: str, wrong: Event) -> None:
    error = check(wrong, NOW)
    assert error is not None
    assert error.reason == "EVENT_INVALID"
    assert [violation.field for violation in error.violations] == [field]


def test_a_search_needs_no_product_and_may_be_in_chinese() -> None:
    assert check(event(type=EventType.SEARCH, product_id="", query="红葡萄酒"), NOW) is None


def test_a_refusal_does_not_quote_who_it_was() -> None:
    error = check(event(shopper=Shopper(Identity.USER, "secret" * 40)), NOW)
    assert error is not None
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("way", "query", "order_id"),
    [
        (StoredAs.PLAIN, "teal trousers", "order-1"),
        (StoredAs.HASHED, KEY.hashed("default", "teal trousers"), KEY.hashed("default", "order-1")),
        (StoredAs.DROPPED, "", ""),
    ],
)
async def test_texts_that_may_name_a_person_are_stored_as_the_settings_say(
    way: StoredAs, query: str, order_id: str
) -> None:
    writer = FakeWriter()
    given = event("e1", type=EventType.SEARCH, query="teal trousers", order_id="order-1")

    async def send() -> Appended:
        texts = StoredTexts(way, way)
        return await append("default", [given], KEY, writer.append, lambda: NOW, texts=texts)

    await send()
    stored = writer.stored["e1"].event
    assert (stored.query, stored.order_id) == (query, order_id)
    assert (await send()).duplicate_count == 1, "a retry is the same event"


def test_a_hash_differs_by_catalog_and_key_and_is_no_text() -> None:
    hashes = {
        KEY.hashed("default", "a"),
        KEY.hashed("other", "a"),
        KEY.hashed("default", "b"),
        Pseudonyms(bytes(32)).hashed("default", "a"),
    }
    assert {len(each) for each in hashes} == {32}
    assert len(hashes) == 4
    assert KEY.hashed("default", "") == ""
