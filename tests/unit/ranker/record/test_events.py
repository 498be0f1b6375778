import dataclasses

import numpy as np
import pytest
import sqlalchemy as sa

from ranker.domain.events import EventType, Identity, Shopper, Written
from ranker.domain.features import Money
from ranker.record import shopper_history
from ranker.record.events import EventRecord, given_id
from ranker.record.popularity import HALF_LIFE_MICROS
from ranker.record.shopper_history import _HISTORY, _SEEN
from ranker.record.tables import EVENTS
from servicekit.sql.database import Database, StoreBusy
from tests.fakes.ranker import HOUR, KEY, NOW, stored
from tests.stores import only_sqlite

RATING, HIDE, UNHIDE = EventType.RATING, EventType.HIDE, EventType.UNHIDE
ANN, BOB = Shopper(Identity.USER, "ann"), Shopper(Identity.USER, "bob")


@pytest.fixture
def events(db: Database) -> EventRecord:
    return EventRecord(db)


async def history(events: EventRecord, who: Shopper = ANN, **options):
    options = {"limit": 50, "with_seen": True, **options}
    return await events.history("default", KEY.of("default", who), **options)


async def test_an_event_counts_once_per_id_and_catalog(events: EventRecord) -> None:
    first = await events.append([stored("e1"), stored("e1", "other")])
    assert first == (Written.NEW, Written.NEW)
    again = await events.append([stored("e1"), stored("e1", product_id="p2"), stored("e2")])
    assert again == (Written.DUPLICATE, Written.CONFLICT, Written.NEW)
    assert len((await history(events)).recent) == 2


async def test_no_shopper_takes_the_ids_of_another_or_learns_of_them(events: EventRecord) -> None:
    purchase = stored("order-1", type=EventType.PURCHASE, shopper=BOB)
    assert await events.append([stored("order-1", type=EventType.PURCHASE, shopper=ANN)]) == (
        Written.NEW,
    )
    assert await events.append([purchase]) == (Written.NEW,), "no conflict with Ann's"
    again = [purchase, stored("order-1", product_id="p9", shopper=BOB)]
    assert await events.append(again) == (Written.DUPLICATE, Written.CONFLICT)
    together = [stored("x", shopper=ANN), stored("x", shopper=BOB), stored("x", shopper=BOB)]
    assert await events.append(together) == (Written.NEW, Written.NEW, Written.DUPLICATE)
    found = [await history(events, who) for who in (ANN, BOB)]
    assert [len(each.recent) for each in found] == [2, 2]
    assert {given_id(one.event_id) for one in found[1].recent} == {"order-1", "x"}


async def test_of_two_events_with_one_id_in_a_batch_the_first_counts(events: EventRecord) -> None:
    one = stored("e1")
    outcomes = await events.append([one, one, stored("e1", product_id="p2")])
    assert outcomes == (Written.NEW, Written.DUPLICATE, Written.CONFLICT)


async def test_every_field_comes_back_but_who_it_was(events: EventRecord) -> None:
    given = stored(
        "e1",
        type=EventType.PURCHASE,
        session_id="s",
        value=1.5,
        quantity=2,
        unit_price=Money(12_340_000, "EUR"),
        order_id="o",
        position=3,
        scene="home",
        attribution_token="t",
        query="q",
        answer_id="a1",
    )
    await events.append([given])
    (back,) = await events.events_of("default", given.actor, limit=10, before=None)
    expected = dataclasses.replace(given.event, shopper=None, session_id="")
    assert back == dataclasses.replace(given, event=expected, sequence=back.sequence)


async def test_events_beyond_the_limit_of_an_answer_are_kept_without_it(
    events: EventRecord, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ranker.record.events.MOST_OF_ANSWER", 3)
    batches = [("e1", "e2"), ("e3", "e4", "e5"), ("e6",)]
    for ids in batches:
        await events.append([stored(one, answer_id="a1", arm="x/y") for one in ids])
    await events.append([stored("e7", answer_id="a2"), stored("e8", "other", answer_id="a1")])
    t = EVENTS.c
    rows = await db.read(
        lambda c: c.execute(sa.select(t.event_id, t.answer_id, t.arm).order_by(t.sequence)).all()
    )
    named = {row.event_id for row in rows if row.answer_id}
    assert named == {"e1", "e2", "e3", "e7", "e8"}
    assert {row.event_id for row in rows if row.arm} == {"e1", "e2", "e3"}


async def test_history_is_newest_first_by_the_events_own_time_and_bounded(
    events: EventRecord,
) -> None:
    await events.append([stored(f"e{n}", at=n, product_id=f"p{n}") for n in (2, 0, 3, 1)])
    found = await history(events, limit=3)
    assert [one.product_id for one in found.recent] == ["p3", "p2", "p1"]


async def test_impressions_do_not_push_views_out_of_the_history(events: EventRecord) -> None:
    await events.append([stored("e0", product_id="seen")])
    noise = [
        stored(f"i{n}", at=n + 1, type=EventType.IMPRESSION, product_id=f"p{n}") for n in range(60)
    ]
    await events.append(noise)
    found = await history(events)
    assert [one.product_id for one in found.recent] == ["seen"]
    assert found.seen == {"seen"}


async def test_hide_lasts_until_unhide_by_the_events_own_time(events: EventRecord) -> None:
    await events.append([stored("h", at=2, type=HIDE), stored("u", at=1, type=UNHIDE)])
    assert (await history(events)).hidden == {"p1"}
    await events.append([stored("u2", at=3, type=UNHIDE)])
    assert (await history(events)).hidden == frozenset()


async def test_a_visitor_and_another_catalog_share_nothing(events: EventRecord) -> None:
    await events.append([stored("e1"), stored("e2", "other", product_id="p2", type=HIDE)])
    assert (await history(events, Shopper(Identity.VISITOR, "ann"))).recent == ()
    assert (await history(events)).hidden == frozenset()


async def test_seen_products_are_read_only_on_request(events: EventRecord) -> None:
    await events.append([stored("e1")])
    assert (await history(events, with_seen=False)).seen == frozenset()


async def test_popularity_is_a_share_of_the_most_popular(events: EventRecord) -> None:
    await events.append(
        [
            stored("e1", type=EventType.PURCHASE, product_id="a"),
            stored("e2", type=EventType.PURCHASE, product_id="b"),
            stored("e3", type=EventType.PURCHASE, product_id="b", shopper=BOB),
            stored("e4", type=RATING, value=1.0, product_id="c"),
            stored("e5", type=EventType.IMPRESSION, product_id="c"),
        ]
    )
    shares = await events.popularity("default", ["a", "b", "c", "unknown"])
    np.testing.assert_allclose(shares, [0.5, 1.0, 0.0, 0.0])
    assert [item for item, _ in await events.most_popular("default", 5)] == ["b", "a"]


async def test_a_duplicate_does_not_make_a_product_more_popular(events: EventRecord) -> None:
    for _ in range(3):
        await events.append([stored("e1", product_id="a")])
    await events.append([stored("e2", product_id="b")])
    np.testing.assert_allclose(await events.popularity("default", ["a", "b"]), [1.0, 1.0])


@pytest.mark.parametrize("batches", [1, 40])
async def test_one_shopper_moves_a_product_once_a_day_by_the_strongest_event(
    events: EventRecord, batches: int
) -> None:
    looks = [stored(f"e{n}", product_id="a") for n in range(40)]
    looks.append(stored("bought", product_id="a", type=EventType.PURCHASE))
    size = -(-len(looks) // batches)
    for first in range(0, len(looks), size):
        await events.append(looks[first : first + size])
    await events.append([stored("other", product_id="b", type=EventType.PURCHASE, shopper=BOB)])
    np.testing.assert_allclose(await events.popularity("default", ["a", "b"]), [1.0, 1.0])
    await events.append([stored("tomorrow", product_id="a", at=24)])
    shares = await events.popularity("default", ["a", "b"])
    assert shares[0] == 1.0
    assert shares[1] < 0.8


async def test_a_year_halves_what_an_event_counts(events: EventRecord) -> None:
    old = stored("e1", product_id="a", time_micros=NOW - HALF_LIFE_MICROS)
    await events.append([old, stored("e2", product_id="b")])
    np.testing.assert_allclose(await events.popularity("default", ["a", "b"]), [0.5, 1.0])


async def test_centuries_leave_the_range_of_no_number(events: EventRecord) -> None:
    year = 365 * 24 * HOUR
    ages = [stored(f"e{n}", product_id=f"p{n}", time_micros=NOW - n * 1900 * year) for n in (0, 1)]
    await events.append(ages)
    shares = await events.popularity("default", ["p0", "p1"])
    assert shares[0] == 1.0
    assert np.isfinite(shares).all()


async def test_equally_popular_products_are_ordered_by_id(events: EventRecord) -> None:
    await events.append([stored(f"e{item}", product_id=item) for item in "cab"])
    assert [item for item, _ in await events.most_popular("default", 2)] == ["a", "b"]


async def test_before_any_event_nothing_is_popular(events: EventRecord) -> None:
    assert list(await events.popularity("default", ["a"])) == [0.0]
    assert await events.most_popular("default", 5) == ()


async def test_pages_of_events_follow_one_another_without_gap_or_repeat(
    events: EventRecord,
) -> None:
    await events.append([stored(f"e{n}", at=n // 2) for n in range(7)])
    actor, found, before = stored().actor, [], None
    while page := await events.events_of("default", actor, limit=2, before=before):
        found += [one.event.event_id for one in page]
        before = (page[-1].event.time_micros, page[-1].sequence)
    assert found == [f"e{n}" for n in range(6, -1, -1)]


async def test_training_reads_likes_and_hides_in_order_of_time(events: EventRecord) -> None:
    await events.append(
        [
            stored("e3", at=3, type=HIDE),
            stored("e1", at=1),
            stored("e2", at=2, type=EventType.SEARCH, product_id=""),
            stored("e0", "other"),
        ]
    )
    found = await events.interactions("default")
    assert [one.event_id for one in found] == ["e1", "e3"]


@only_sqlite
async def test_a_history_is_read_through_its_index_alone(db: Database) -> None:
    given = {"catalog_id": "default", "actor": "a", "newest": 50}
    for statement in (_HISTORY.statement, _SEEN):
        made = statement.params(**given)
        text = made.compile(db.engine, compile_kwargs={"literal_binds": True})
        with db.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
        used = {row.detail for row in plan if "events" in row.detail}
        assert used
        assert all("INDEX events_history (catalog_id=? AND actor=? AND kind=?)" in d for d in used)


async def test_of_very_many_events_the_newest_tell_what_was_seen(
    events: EventRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    await events.append([stored(f"e{n}", at=n, product_id=f"p{n}") for n in range(4)])
    monkeypatch.setattr(shopper_history, "_SEEN", shopper_history._SEEN.limit(3))
    assert (await history(events)).seen == {"p1", "p2", "p3"}


async def test_the_most_popular_are_read_anew_once_something_was_written(
    events: EventRecord, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await events.append([stored("e1", product_id="a")])
    assert await events.most_popular("default", 5) == (("a", 1.0),)
    await events.append([stored("e2", product_id="b", type=EventType.PURCHASE)])
    found = await events.most_popular("default", 5)
    assert [item for item, _ in found] == ["b", "a"]
    if db.local:
        monkeypatch.setattr(db, "read", None)
        assert await events.most_popular("default", 5) == found


async def test_a_history_is_read_by_a_thread_where_it_can_t_be_read_at_once(
    events: EventRecord, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await events.append([stored("e1")])

    def busy(work: object) -> None:
        raise StoreBusy

    monkeypatch.setattr(db, "read_local", busy)
    assert len((await history(events, with_seen=False)).recent) == 1
