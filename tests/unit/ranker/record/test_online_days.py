"""Outcomes of answers by scene and day."""

from dataclasses import replace

from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.features import Money
from ranker.domain.online import Period, Revenue, SceneDay, cause_bits
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.events import EventRecord
from ranker.record.online_days import OnlineDaysRecord
from servicekit.sql.database import Database
from tests.fakes.ranker import NOW, stored

START = NOW - DAY_MICROS
WEEK = Period(START, NOW + 6 * DAY_MICROS, 2 * DAY_MICROS)
IMPRESSION, CLICK, PURCHASE = EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE
SHOWN = SceneDay("home", START)


def answer(answer_id: str, scene: str = "home", at: int = START, **fields) -> StoredAnswer:
    return StoredAnswer(
        *("default", answer_id, "", "k", b"c", NOW * 2),
        answer_micros=at,
        scene=scene,
        **fields,
    )


async def days(db: Database, *answers: StoredAnswer) -> list[SceneDay]:
    await AnswerLog(db).write(answers, NOW)
    return await OnlineDaysRecord(db).days("default", WEEK)


async def happen(db: Database, answer_id: str, kind: EventType, item: str, **fields) -> None:
    told = f"{answer_id}-{kind}-{item}-{fields}"
    event = stored(told, type=kind, product_id=item, answer_id=answer_id, **fields)
    await EventRecord(db).append([event])


async def test_answers_are_counted_by_scene_and_day_with_what_they_lacked(db: Database) -> None:
    found = await days(
        db,
        answer("a", product_count=0, degraded_by=cause_bits([4, 6])),
        answer("b", product_count=3, degraded_by=cause_bits([6])),
        answer("c", product_count=3, degraded_by=0),
        answer("old"),
        answer("d", "cart", product_count=1, degraded_by=0),
        answer("e", at=START + DAY_MICROS, product_count=0, degraded_by=0),
        answer("before", at=START - 1, product_count=0),
    )
    assert found == [
        SceneDay("cart", START, answers=1),
        SceneDay("home", START, answers=4, empty=1, degraded=2, causes={4: 1, 6: 2}),
        SceneDay("home", START + DAY_MICROS, answers=1, empty=1),
    ]


async def test_purchases_within_the_window_after_an_impression_bring_money(db: Database) -> None:
    euros = {"unit_price": Money(2_500_000, "EUR")}
    for item in ("p1", "p2", "p3"):
        await happen(db, "a", IMPRESSION, item)
    await happen(db, "a", CLICK, "p1", at=1)
    await happen(db, "a", PURCHASE, "p1", at=2, quantity=3, **euros)
    await happen(db, "a", PURCHASE, "p1", at=3, unit_price=Money(1_000_000, "USD"))
    await happen(db, "a", PURCHASE, "p2", at=48)
    await happen(db, "a", PURCHASE, "p3", at=49, **euros)
    await happen(db, "a", PURCHASE, "unseen", at=1, **euros)
    (found,) = await days(db, answer("a"))
    assert found == replace(
        SHOWN,
        answers=1,
        shown=3,
        shown_weight=3.0,
        clicked=1,
        bought=2,
        revenues=(Revenue("EUR", 7.5), Revenue("USD", 1.0)),
        unpriced=1,
    )


async def test_sampled_impressions_stand_for_the_rest_of_the_money(db: Database) -> None:
    await happen(db, "a", IMPRESSION, "p1")
    await happen(db, "a", PURCHASE, "p1", unit_price=Money(2_000_000, "EUR"))
    await db.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE events SET sample_share = 0.25 WHERE type = 'IMPRESSION'"
        )
    )
    (found,) = await days(db, answer("a"))
    assert (found.shown, found.shown_weight) == (1, 4.0)
    assert found.revenues == (Revenue("EUR", 8.0),)


async def test_a_catalog_without_answers_has_no_days(db: Database) -> None:
    assert await days(db) == []
