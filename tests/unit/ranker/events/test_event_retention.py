"""Expired events are deleted, popularity stays right, and all other data stays unchanged."""

import asyncio
import random
from functools import partial

import numpy as np
import pytest
import sqlalchemy as sa

from ranker.domain.consent import Decision, Purpose
from ranker.domain.events import DAY_MICROS, EventType, Identity, Shopper
from ranker.events import event_retention
from ranker.events.event_retention import Sweeper, days_by_type
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.consent_changes import ConsentRecord
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord, expired
from ranker.record.tables import ANSWERS
from servicekit.sql.database import Database, StoreBusy
from servicekit.tasks.loops import Loop
from tests.fakes.ranker import KEY, NOW, stored, with_photos
from tests.stores import only_sqlite

VIEW, IMPRESSION, HIDE = EventType.VIEW, EventType.IMPRESSION, EventType.HIDE


@pytest.fixture
def events(db: Database) -> EventRecord:
    return EventRecord(db)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_retention, "BATCH", 7)
    monkeypatch.setattr(event_retention, "PAUSE_SECONDS", 0)


def sweeper(db: Database, event_days: float = 10, impression_days: float = 0) -> Sweeper:
    days = days_by_type(event_days, impression_days)
    return Sweeper(("default",), days, SelectionRecord(db).expire, AnswerLog(db).sweep, lambda: NOW)


async def left(events: EventRecord, catalog: str = "default") -> set[str]:
    actor = KEY.of(catalog, Shopper(Identity.USER, "ann"))
    found = await events.events_of(catalog, actor, limit=1000, before=None)
    return {one.event.event_id for one in found}


async def test_events_go_by_their_own_age_and_impressions_sooner(
    db: Database, events: EventRecord, small_batches: None
) -> None:
    await events.append(
        [
            stored("old", at=-11 * 24),
            stored("young", at=-9 * 24),
            stored("shown long ago", at=-3 * 24, type=IMPRESSION),
            stored("shown lately", at=-1 * 24, type=IMPRESSION),
            stored("elsewhere", "other", at=-11 * 24),
        ]
    )
    await sweeper(db, 10, 2).sweep(asyncio.Event())
    assert await left(events) == {"young", "shown lately"}
    assert await left(events, "other") == {"elsewhere"}


async def test_vectors_of_photos_end_with_the_term_of_their_answer(
    db: Database, small_batches: None
) -> None:
    actor, log = KEY.of("default", Shopper(Identity.USER, "ann")), AnswerLog(db)
    given = [Decision(Purpose.PHOTOS, True, "a test", NOW)]
    await ConsentRecord(db).decide("default", actor, given, key_id=KEY.key_id)
    for number in range(20):
        expires = NOW + (number >= 15)
        made = StoredAnswer(
            "default", f"a{number}", actor, KEY.key_id, b"", expires, NOW - DAY_MICROS
        )
        await log.write([made], NOW - DAY_MICROS)
    await with_photos(db, *(f"a{number}" for number in range(20)))
    vectors = sa.select(ANSWERS.c.answer_id).where(ANSWERS.c.photo.is_not(None))
    stored_at_first = await db.read(lambda c: c.execute(vectors).scalars().all())
    await sweeper(db).sweep(asyncio.Event())
    left = await db.read(lambda c: c.execute(vectors).scalars().all())
    assert (len(stored_at_first), sorted(left)) == (20, [f"a{n}" for n in range(15, 20)])


async def test_a_wish_to_hide_outlives_everything(db: Database, events: EventRecord) -> None:
    await events.append([stored("h", at=-1000 * 24, type=HIDE, product_id="ugly")])
    await sweeper(db, 1).sweep(asyncio.Event())
    actor = KEY.of("default", Shopper(Identity.USER, "ann"))
    assert (await events.history("default", actor, limit=5, with_seen=False)).hidden == {"ugly"}


def test_by_default_everything_is_kept() -> None:
    assert days_by_type(0, 0) == {}
    assert set(days_by_type(0, 5)) == {IMPRESSION}


async def test_popularity_is_that_of_the_events_that_are_left(
    db: Database, events: EventRecord, small_batches: None
) -> None:
    draw = random.Random(3)
    mixed = [
        stored(
            f"e{n}",
            at=-draw.randrange(20 * 24),
            product_id=f"p{draw.randrange(5)}",
            shopper=Shopper(Identity.USER, f"u{draw.randrange(6)}"),
            type=draw.choice([VIEW, EventType.CLICK, EventType.PURCHASE]),
        )
        for n in range(300)
    ]
    await events.append(mixed)
    await sweeper(db).sweep(asyncio.Event())
    young = [one for one in mixed if (one.event.time_micros or 0) >= NOW - 10 * DAY_MICROS]
    assert 50 < len(young) < 250
    anew = [again(one, n) for n, one in enumerate(young)]
    await events.append(anew)
    items = [f"p{n}" for n in range(5)]
    expected = await events.popularity("fresh", items)
    np.testing.assert_allclose(await events.popularity("default", items), expected, rtol=1e-9)


def again(one, number: int):
    """Return the same event in a catalog of its own."""
    event = one.event
    return stored(
        f"again-{number}",
        "fresh",
        product_id=event.product_id,
        shopper=event.shopper,
        type=event.type,
        time_micros=event.time_micros,
    )


async def test_killed_half_way_it_goes_on(
    db: Database, events: EventRecord, small_batches: None
) -> None:
    await events.append([stored(f"e{n}", at=-20 * 24 - n) for n in range(30)])
    record, stop, batches = SelectionRecord(db), asyncio.Event(), []

    class Stopping:
        async def expire(self, *given) -> int:
            batches.append(await record.expire(*given))
            if len(batches) == 2:
                stop.set()
            return batches[-1]

    days = {VIEW: 10.0}
    await Sweeper(("default",), days, Stopping().expire, AnswerLog(db).sweep, lambda: NOW).sweep(
        stop
    )
    assert len(await left(events)) == 16
    await sweeper(db).sweep(asyncio.Event())
    assert await left(events) == set()


async def test_records_of_answers_go_also_when_nobody_writes_any(
    db: Database, small_batches: None
) -> None:
    log = AnswerLog(db)
    answers = [
        StoredAnswer("default", f"a{n}", "", KEY.key_id, b"x", NOW + (1 if n == 0 else -1))
        for n in range(20)
    ]
    await log.write(answers, NOW - 10)
    await sweeper(db).sweep(asyncio.Event())
    assert await log.read("default", "a0", NOW - 10) == b"x"
    assert [await log.read("default", f"a{n}", NOW - 10) for n in range(1, 20)] == [None] * 19


async def test_a_busy_store_is_tried_again(db: Database) -> None:
    stop, tries = asyncio.Event(), []

    class Busy:
        async def sweep(self, now_micros: int, limit: int) -> int:
            tries.append(now_micros)
            if len(tries) == 1:
                raise StoreBusy
            stop.set()
            return 0

    busy = Sweeper((), {}, SelectionRecord(db).expire, Busy().sweep, lambda: NOW)
    await Loop("nothing swept", partial(busy.sweep, stop), 0.01).run(stop)
    assert len(tries) == 2


@only_sqlite
def test_the_old_are_found_through_their_index(db: Database) -> None:
    text = expired("c", VIEW, NOW, 10).compile(db.engine, compile_kwargs={"literal_binds": True})
    with db.engine.connect() as connection:
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())
    assert "INDEX events_age (catalog_id=? AND type=? AND time_micros<?)" in plan
    assert "TEMP B-TREE" not in plan
