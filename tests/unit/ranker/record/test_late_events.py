"""Events that were received before a purge was requested, and reach the record after it."""

from typing import Any

import pytest

from ranker.domain.erasure import Person
from ranker.domain.events import EventType, Identity, Shopper, Written
from ranker.domain.selection import PurgeCount, Selection
from ranker.events import purge
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import JOBS
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored

NEW, PURGED = Written.NEW, Written.PURGED
ANN = KEY.of("default", Shopper(Identity.USER, "ann"))
COOKIE = Shopper(Identity.VISITOR, "cookie")
COOKIES = KEY.of("default", COOKIE)


async def ask(db: Database, received: int | None = NOW, **conditions: Any) -> str:
    """Request a purge a second after NOW, of events received until `received`."""
    jobs = Jobs(db, JOBS, clock=lambda: NOW + 1_000_000)
    selection = Selection("default", **conditions)
    params = purge.params(selection, PurgeCount(0, None, None, 0), received)
    return (await jobs.create(purge.PURGE, "default", params)).id


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ({"actor": ANN}, PURGED),
        ({"actor": COOKIES}, NEW),
        ({"types": (EventType.VIEW,)}, PURGED),
        ({"types": (EventType.CLICK,)}, NEW),
        ({"product_id": "p1"}, PURGED),
        ({"product_id": "p2"}, NEW),
        ({"before_micros": NOW + 1}, PURGED),
        ({"before_micros": NOW}, NEW),
        ({"actor": ANN, "product_id": "p2"}, NEW),
        ({"actor": ANN, "received": NOW - 1}, NEW),
        ({"actor": ANN, "received": None}, NEW),
    ],
)
async def test_what_was_taken_in_before_a_purge_that_covers_it_is_not_stored(
    db: Database, conditions: dict[str, Any], outcome: Written
) -> None:
    await ask(db, **conditions)
    late = EventRecord(db, late=True)
    assert await late.append([stored("e1"), stored("e2", "other")]) == (outcome, NEW)
    assert len(await late.events_of("default", ANN, limit=9, before=None)) == (outcome is NEW)


async def test_it_is_not_stored_either_when_it_is_read_again_after_it_was_deleted(
    db: Database,
) -> None:
    late = EventRecord(db, late=True)
    assert await late.append([stored("e1")]) == (NEW,)
    await ask(db, actor=ANN)
    assert await late.append([stored("e1")]) == (PURGED,)


async def test_a_purge_that_was_taken_back_holds_nothing_off(db: Database) -> None:
    await Jobs(db, JOBS).cancel(await ask(db, actor=ANN))
    assert await EventRecord(db, late=True).append([stored("e1")]) == (NEW,)


@pytest.mark.parametrize("purged", [ANN, COOKIES])
async def test_a_merged_visitors_event_goes_with_either(db: Database, purged: str) -> None:
    await ask(db, actor=purged)
    await ShopperRecord(db).merge("default", COOKIES, ANN, key_id=KEY.key_id, now_micros=NOW)
    assert await EventRecord(db, late=True).append([stored("e1", shopper=COOKIE)]) == (PURGED,)


async def test_what_comes_straight_into_the_record_is_not_held_against_purges(
    db: Database,
) -> None:
    await ask(db, actor=ANN)
    assert await EventRecord(db).append([stored("e1")]) == (NEW,)


@pytest.mark.parametrize(("requested", "outcome"), [(NOW, PURGED), (NOW - 1, NEW)])
async def test_an_event_received_before_its_shopper_was_erased_is_not_stored(
    db: Database, requested: int, outcome: Written
) -> None:
    await ErasureRecord(db).begin(Person("default", (ANN,), requested), "job")
    late = EventRecord(db, late=True)
    assert await late.append([stored("e1"), stored("e2", "other")]) == (outcome, NEW)
