import itertools

import numpy as np
import pytest
import sqlalchemy as sa

from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.selection import PurgeCount, PurgePlace, Selection
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord, batch_query
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import EVENTS, POPULARITY
from servicekit.sql.database import Database
from tests.fakes.ranker import HOUR, KEY, NOW, stored
from tests.stores import only_sqlite

ANN, COOKIE = Shopper(Identity.USER, "ann"), Shopper(Identity.VISITOR, "cookie")
PURCHASE, IMPRESSION, SEARCH = EventType.PURCHASE, EventType.IMPRESSION, EventType.SEARCH
YEAR = 365 * 24


@pytest.fixture
def events(db: Database) -> EventRecord:
    return EventRecord(db)


@pytest.fixture
def purges(db: Database) -> SelectionRecord:
    return SelectionRecord(db)


async def purge(purges: SelectionRecord, selection: Selection, limit: int = 1000) -> list[int]:
    """Delete all that fits; how many went with each batch."""
    place: PurgePlace | None = PurgePlace()
    counts = []
    while place is not None:
        batch = await purges.delete(selection, place, limit)
        place = batch.place
        counts.append(batch.count)
    return counts


async def left(events: EventRecord, *catalogs: str) -> set[str]:
    """Return the ids of all remaining events."""
    return {
        one.event.event_id
        for catalog in catalogs or ("default",)
        for who in (ANN, COOKIE)
        for one in await events.events_of(catalog, KEY.of(catalog, who), limit=1000, before=None)
    }


def selected(**fields: object) -> Selection:
    return Selection("default", **fields)  # type: ignore[arg-type]


SOME = [
    stored("old", at=-2, product_id="a"),
    stored("new", at=2, product_id="b"),
    stored("shown", at=-1, type=IMPRESSION, product_id="a"),
    stored("asked", at=1, type=SEARCH, product_id="", shopper=COOKIE),
    stored("bought", at=0, type=PURCHASE, product_id="b", shopper=COOKIE),
]
CASES = [
    ({"before_micros": NOW}, {"old", "shown"}),
    ({"types": (IMPRESSION, SEARCH)}, {"shown", "asked"}),
    ({"product_id": "b"}, {"new", "bought"}),
    ({"actor": KEY.of("default", COOKIE)}, {"asked", "bought"}),
    ({"before_micros": NOW + 1, "product_id": "b"}, {"bought"}),
    ({"types": (PURCHASE,), "actor": KEY.of("default", ANN)}, set()),
    ({"last_sequence": 2}, {"old", "new"}),
    ({}, {"old", "new", "shown", "asked", "bought"}),
]


@pytest.mark.first(2)
@pytest.mark.parametrize(("conditions", "gone"), CASES)
async def test_what_fits_every_condition_is_counted_and_goes_and_nothing_else(
    events: EventRecord, purges: SelectionRecord, conditions: dict[str, object], gone: set[str]
) -> None:
    await events.append(SOME)
    await events.append([stored("elsewhere", "other", at=-2, product_id="b")])
    selection = selected(**conditions)
    assert (await purges.count(selection)).event_count == len(gone)
    assert sum(await purge(purges, selection)) == len(gone)
    everything = {one.event.event_id for one in SOME}
    assert await left(events) == everything - gone
    assert await left(events, "other") == {"elsewhere"}


async def test_a_count_says_from_when_to_when(events: EventRecord, purges: SelectionRecord) -> None:
    await events.append(SOME)
    found = await purges.count(selected())
    assert found == PurgeCount(5, NOW - 2 * HOUR, NOW + 2 * HOUR, 5)
    assert await purges.count(selected(product_id="x")) == PurgeCount(0, None, None, 0)


@pytest.mark.first(2)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("condition", [{"before_micros": NOW}, {"types": (EventType.VIEW,)}, {}])
async def test_popularity_is_the_same_as_if_the_events_had_never_been(
    db: Database,
    events: EventRecord,
    purges: SelectionRecord,
    limit: int,
    condition: dict[str, object],
) -> None:
    """Check also a product of which more events are deleted than a batch holds, and one that loses
    all."""
    draw = itertools.cycle([EventType.VIEW, PURCHASE, EventType.RATING, EventType.CLICK])
    some = [
        stored(
            f"e{n}",
            at=(-1) ** n * n * YEAR // 7,
            product_id="often" if n % 3 else f"p{n % 5}",
            type=next(draw),
            value=1.0 + n % 5,
        )
        for n in range(60)
    ]
    await events.append(some)
    await purge(purges, selected(**condition), limit)
    kept = await left(events)
    found = await counts(db)
    for table in (POPULARITY, EVENTS):
        await db.write(lambda c, table=table: c.execute(sa.delete(table)))
    again = [
        stored(f"x{one.event.event_id}", at=(one.event.time_micros - NOW) // HOUR, **fields(one))
        for one in some
        if one.event.event_id in kept
    ]
    await events.append(again or [stored("none", type=IMPRESSION)])
    expected = await counts(db)
    assert found.keys() == expected.keys()
    for item, log in found.items():
        np.testing.assert_allclose(log, expected[item], atol=1e-12)


def fields(one) -> dict[str, object]:
    event = one.event
    return {"product_id": event.product_id, "type": event.type, "value": event.value}


async def counts(db: Database) -> dict[str, float]:
    rows = await db.read(lambda c: c.execute(sa.select(POPULARITY)).all())
    return {row.product_id: row.log_count for row in rows}


async def test_while_it_lasts_no_purged_event_counts_any_more(
    events: EventRecord, purges: SelectionRecord
) -> None:
    for item in "ab":
        people = [Shopper(Identity.USER, f"u{n}") for n in range(8)]
        await events.append(
            [
                stored(f"{item}-{who.id}", product_id=item, type=PURCHASE, shopper=who)
                for who in people
            ]
        )
    await purges.delete(selected(product_id="a"), PurgePlace(), 2)
    np.testing.assert_allclose(await events.popularity("default", ["a", "b"]), [0.75, 1.0])


async def test_a_merged_visitors_events_are_found_under_the_user(
    db: Database, events: EventRecord, purges: SelectionRecord
) -> None:
    visitor, user = KEY.of("default", COOKIE), KEY.of("default", ANN)
    assert await purges.owner("default", visitor) == visitor
    await ShopperRecord(db).merge("default", visitor, user, key_id=KEY.key_id, now_micros=NOW)
    assert await purges.owner("default", visitor) == user


@only_sqlite
@pytest.mark.parametrize(
    ("condition", "index"),
    [({"before_micros": NOW}, "INDEX events_product"), ({"actor": "a"}, "actor=?")],
)
def test_batches_are_found_through_an_index(
    db: Database, condition: dict[str, object], index: str
) -> None:
    statement = batch_query(selected(**condition), PurgePlace(True, "p", 3), 2000)
    text = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True}))
    with db.engine.connect() as connection:
        plan = " ".join(map(str, connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")))
    assert index in plan
