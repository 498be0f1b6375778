"""What stands before the record, and the worker's look, with fakes around the record."""

import asyncio
from collections.abc import Sequence

import pytest

from ranker.domain.consent import Decision, Purpose, Refusers
from ranker.domain.events import Identity, Shopper, StoredEvent, Written
from ranker.events.consent_retention import ConsentedSink, ConsentRetention
from ranker.record.consent_changes import ConsentRecord
from ranker.record.events import EventRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored

ANN, COOKIE = Shopper(Identity.USER, "ann"), Shopper(Identity.VISITOR, "cookie")
USER, VISITOR = KEY.of("default", ANN), KEY.of("default", COOKIE)


class Log:
    """A log before the record."""

    deferred = True

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        self.taken += [one.event.event_id for one in events]
        return (Written.NEW,) * len(events)


async def refuse(db: Database, *purposes: Purpose, granted: bool = False, at: int = 0) -> None:
    decisions = [Decision(one, granted, "banner", NOW + at) for one in purposes]
    await ConsentRecord(db).decide("default", USER, decisions, key_id=KEY.key_id)


async def test_events_without_any_use_never_reach_the_log(db: Database) -> None:
    log = Log()
    sink = ConsentedSink(log, ConsentRecord(db))
    await ShopperRecord(db).merge("default", VISITOR, USER, key_id=KEY.key_id, now_micros=NOW)
    await refuse(db, Purpose.PERSONALISE, Purpose.TRAIN)
    bob = Shopper(Identity.USER, "bob")
    given = [stored("e1"), stored("e2", shopper=bob), stored("e3", shopper=COOKIE)]
    assert await sink.append(given) == (Written.WITHHELD, Written.NEW, Written.WITHHELD)
    assert (log.taken, sink.deferred) == (["e2"], True)
    assert await sink.append(given[:1]) == (Written.WITHHELD,)


@pytest.mark.parametrize("given_again", [False, True])
async def test_a_look_deletes_what_no_consent_covers(db: Database, given_again: bool) -> None:
    forgotten: list[Refusers] = []
    settled: list[None] = []
    noted: list[str] = []

    async def forget(catalog_id: str, refusers: Refusers) -> int:
        forgotten.append(refusers)
        return 1

    async def settle() -> None:
        settled.append(None)

    async def note(catalog_id: str) -> None:
        noted.append(catalog_id)

    selections = SelectionRecord(db)
    retention = ConsentRetention(
        ("default",), ConsentRecord(db), selections, forget, settle, asyncio.Event(), note
    )
    await EventRecord(db).append([stored(f"e{n}") for n in range(3)])
    await retention.look()
    assert (forgotten, settled, noted) == ([], [], ["default"])

    await refuse(db, Purpose.PERSONALISE, Purpose.TRAIN)
    if given_again:
        await refuse(db, Purpose.PERSONALISE, granted=True, at=1)
    await retention.look()
    await retention.look()
    found = await EventRecord(db).events_of("default", USER, limit=10, before=None)
    assert len(found) == (3 if given_again else 0)
    assert len(settled) == (0 if given_again else 1)
    assert forgotten == [Refusers(by_default=False, others=frozenset({USER}))], "once"
