"""Products as they were shown."""

from ranker.domain.events import DAY_MICROS, EventType
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shown import ShownRecord
from servicekit.sql.database import Database
from tests.fakes.ranker import stored


async def test_a_product_stays_old_when_its_first_events_expire(db: Database) -> None:
    days = {"a": (1, 60), "b": (2, 3, 61), "c": (59, 61), "d": (5,)}
    await EventRecord(db).append(
        [
            stored(f"{item}{day}", product_id=item, type=kind, time_micros=day * DAY_MICROS)
            for item, its in days.items()
            for day, kind in zip(its, (EventType.IMPRESSION, *[EventType.CLICK] * 2), strict=False)
        ]
    )
    shown, since = ShownRecord(db), 50 * DAY_MICROS
    before = await shown.newcomers("default", since)
    assert before == {"a": "old", "b": "old", "c": "new", "d": "old"}
    for kind in (EventType.IMPRESSION, EventType.CLICK):
        while await SelectionRecord(db).expire("default", kind, 10 * DAY_MICROS, limit=1):
            pass
    assert await shown.newcomers("default", since) == before
