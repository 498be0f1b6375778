"""Outcomes of answers, as the record returns them: pairs and batches, windows and samples."""

import dataclasses

import pytest

from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.feedback import ShownOutcome
from ranker.domain.online import JoinCounts, Period, Sums, rates
from ranker.record import answer_feedback as batches
from ranker.record.answer_feedback import FeedbackRecord, KeptAnswer
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.events import EventRecord
from ranker.record.online import OnlineRecord, _outcomes
from servicekit.sql.database import Database
from tests.fakes.ranker import NOW, stored
from tests.stores import only_sqlite

WEEK = Period(NOW - DAY_MICROS, NOW + DAY_MICROS, 2 * DAY_MICROS)
IMPRESSION, CLICK, PURCHASE = EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE


@pytest.fixture
def record(db: Database) -> FeedbackRecord:
    return FeedbackRecord(db)


async def answers(db: Database, *ids: str, at: int = 0, catalog: str = "default") -> None:
    kept = [
        StoredAnswer(catalog, one, "", "k", one.encode(), NOW * 2, NOW + at, "m1", "home")
        for one in ids
    ]
    await AnswerLog(db).write(kept, NOW)


async def led_to(db: Database, answer_id: str, *what: tuple[EventType, str], **fields) -> None:
    events = [
        stored(
            f"{answer_id}-{kind}-{item}-{fields}",
            type=kind,
            product_id=item,
            answer_id=answer_id,
            attribution_token="t",
            **fields,
        )
        for kind, item in what
    ]
    await EventRecord(db).append(events)


async def read(record: FeedbackRecord, limit: int = 10, **period: int) -> list[KeptAnswer]:
    when = Period(
        **{
            "start_micros": WEEK.start_micros,
            "end_micros": WEEK.end_micros,
            "conversion_micros": WEEK.conversion_micros,
            **period,
        }
    )
    found = record.answers("default", when, limit)
    return [answer async for batch in found for answer in batch]


@pytest.mark.full
async def test_only_answers_of_which_something_was_shown_are_read(
    db: Database, record: FeedbackRecord
) -> None:
    await answers(db, "shown", "clicked", "alone")
    await answers(db, "shown", catalog="other")
    await led_to(db, "shown", (IMPRESSION, "p1"))
    await led_to(db, "clicked", (CLICK, "p1"))
    (found,) = await read(record)
    assert (found.answer_id, found.content, found.model_version) == ("shown", b"shown", "m1")


async def test_outcomes_are_by_product_and_take_the_first_place_reported(
    db: Database, record: FeedbackRecord
) -> None:
    await answers(db, "a")
    await led_to(db, "a", (IMPRESSION, "p1"), (IMPRESSION, "p2"), position=4)
    await led_to(db, "a", (CLICK, "p1"), position=3, at=1)
    await led_to(db, "a", (CLICK, "p3"), at=1)
    await led_to(db, "a", (PURCHASE, "p1"), (PURCHASE, "p2"), at=48)
    await led_to(db, "a", (PURCHASE, "p2"), at=49)
    (found,) = await read(record)
    p1, p2, p3 = (found.outcomes[one] for one in ("p1", "p2", "p3"))
    assert p1.shown_micros < p1.clicked_micros < p1.bought_micros
    assert p2.shown_micros < p2.bought_micros < p1.bought_micros + DAY_MICROS
    assert (p2.clicked_micros, p3.shown_micros, p3.bought_micros) == (0, 0, 0)
    never = {"shown_micros": 0, "clicked_micros": 0, "bought_micros": 0}
    assert [dataclasses.replace(one, **never) for one in (p1, p2, p3)] == [
        ShownOutcome(shown=True, weight=1.0, position=3, clicked=True, bought=True),
        ShownOutcome(shown=True, weight=1.0, position=4, clicked=False, bought=True),
        ShownOutcome(shown=False, weight=0.0, position=0, clicked=True, bought=False),
    ]
    (short,) = await read(record, conversion_micros=DAY_MICROS)
    assert not short.outcomes["p2"].bought, "later than a day after it was shown"


async def test_the_newest_come_first_and_in_batches(
    db: Database, record: FeedbackRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)
    for at in range(5):
        await answers(db, f"a{at}", at=at)
        await led_to(db, f"a{at}", (IMPRESSION, "p1"))
    sizes = [len(batch) async for batch in record.answers("default", WEEK, 3)]
    assert sizes == [2, 1]
    assert [one.answer_id for one in await read(record, 3)] == ["a4", "a3", "a2"]
    assert [one.answer_id for one in await read(record, end_micros=NOW + 2)] == ["a1", "a0"]


async def test_a_sampled_impression_stands_for_the_rest(db: Database) -> None:
    await answers(db, "a", "b")
    await led_to(db, "a", *((IMPRESSION, f"p{n}") for n in range(4)), (CLICK, "p0"))
    await led_to(db, "b", *((IMPRESSION, f"p{n}") for n in range(4)), (CLICK, "p0"))
    await db.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE events SET sample_share = 0.25 WHERE answer_id = 'b' AND type = 'IMPRESSION'"
        )
    )
    (tally,) = (await OnlineRecord(db).counts("default", WEEK)).tallies
    assert tally.shown == Sums(8, 20.0, 4.0**2 + 16.0**2, 4.0**2 + 16.0**2)
    assert tally.clicked == Sums(2, 5.0, 1.0**2 + 4.0**2, 4.0 * 1.0 + 16.0 * 4.0)
    assert (tally.shoppers, tally.weight_squares) == (2, 4 * 1.0**2 + 4 * 4.0**2)
    assert rates(tally)[0].value == 0.25
    outcomes = {one.answer_id: one.outcomes["p0"].weight for one in await read(FeedbackRecord(db))}
    assert outcomes == {"a": 1.0, "b": 4.0}


async def test_tokens_that_find_no_answer_are_counted(db: Database) -> None:
    await answers(db, "a")
    await led_to(db, "a", (IMPRESSION, "p1"))
    await led_to(db, "gone", (IMPRESSION, "p1"))
    await led_to(db, "", (IMPRESSION, "p1"))
    assert await OnlineRecord(db).joined("default", WEEK) == JoinCounts(3, 2, 1)
    assert await OnlineRecord(db).joined("other", WEEK) == JoinCounts(0, 0, 0)


@only_sqlite
async def test_counting_reads_an_index_and_no_event(db: Database) -> None:
    counting = _outcomes("default", WEEK)
    with db.engine.connect() as connection:
        text = counting.compile(connection, compile_kwargs={"literal_binds": True})
        plan = [str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert any("SEARCH events USING COVERING INDEX events_answer" in step for step in plan), plan
