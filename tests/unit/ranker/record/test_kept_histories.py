"""A shopper's history is kept until one of its rows changes, whoever writes it."""

from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from ranker.domain.consent import EVERYBODY, Decision, Purpose
from ranker.domain.erasure import Person
from ranker.domain.events import EventType, History, Identity, Shopper
from ranker.record import shopper_history
from ranker.record.consent_changes import ConsentRecord
from ranker.record.events import EventRecord
from ranker.record.personal import PersonalRecord
from ranker.record.removed_catalogs import RemovedCatalogRecord
from ranker.record.shopper_history import KEPT_SECONDS, MOST_KEPT_ROWS, KeptHistories
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import EVENTS, MIGRATIONS
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored
from tests.stores import address, only_sqlite

COOKIE = Shopper(Identity.VISITOR, "cookie")
ANN = KEY.of("default", Shopper(Identity.USER, "ann"))
VISITOR = KEY.of("default", COOKIE)
PERSON = Person("default", (ANN,), 2 * NOW)

Change = Callable[[Database], Awaitable[object]]


def decide(purpose: Purpose, *, granted: bool, actor: str = ANN) -> Change:
    made = Decision(purpose, granted, "test", NOW)
    return lambda db: ConsentRecord(db).decide("default", actor, [made], key_id=KEY.key_id)


def append(event_id: str, **fields: object) -> Change:
    return lambda db: EventRecord(db).append([stored(event_id, **fields)])


def merge(user: str, visitor: str = VISITOR) -> Change:
    return lambda db: ShopperRecord(db).merge(
        "default", visitor, user, key_id=KEY.key_id, now_micros=NOW
    )


def attributes(**given: str) -> Change:
    return lambda db: ShopperRecord(db).set_attributes(
        "default", ANN, given, consent=True, key_id=KEY.key_id, now_micros=NOW
    )


def erase(table: str) -> Change:
    return lambda db: PersonalRecord(db).delete(PERSON, table, 100)


async def purge(db: Database) -> None:
    """Delete one event as retention does."""
    gone = sa.delete(EVENTS).where(EVENTS.c.event_id == "e1")
    await db.write(lambda connection: connection.execute(gone))


async def remove_catalog(db: Database) -> None:
    while await RemovedCatalogRecord(db).remove("default", 1_000):
        pass


CHANGES = {
    "an event": append("new", product_id="other", at=1),
    "an older event": append("new", product_id="other", at=-9),
    "a hide": append("new", type=EventType.HIDE),
    "an unhide": append("new", product_id="hidden", type=EventType.UNHIDE, at=3),
    "a merge with a visitor": merge(ANN),
    "a merge into another": merge("f" * 64, ANN),
    "attributes": attributes(country="IT"),
    "no attributes": attributes(),
    "a refusal": decide(Purpose.PERSONALISE, granted=False),
    "a refusal of attributes": decide(Purpose.ATTRIBUTES, granted=False),
    "a refusal by all": decide(Purpose.PERSONALISE, granted=False, actor=EVERYBODY),
    "an erasure of events": erase("events"),
    "an erasure of attributes": erase("attributes"),
    "a purge": purge,
    "the removal of the catalog": remove_catalog,
}


@pytest.fixture
async def events(db: Database) -> EventRecord:
    """Return a record in which Ann, and a visitor, did something."""
    found = EventRecord(db)
    await found.append([stored("e1"), stored("e2", product_id="p2", at=1)])
    await found.append([stored("e3", product_id="hidden", type=EventType.HIDE, at=2)])
    await found.append([stored("v1", shopper=COOKIE, product_id="theirs", at=2)])
    await attributes(country="FR")(db)
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the shoppers whose histories were read, filled later."""
    found: list[str] = []
    read = shopper_history.history

    def counting(connection, catalog_id, actor, limit, *, with_seen):
        found.append(actor)
        return read(connection, catalog_id, actor, limit, with_seen=with_seen)

    monkeypatch.setattr(shopper_history, "history", counting)
    return found


async def history(events: EventRecord, actor: str = ANN) -> History:
    return await events.history("default", actor, limit=50, with_seen=False)


@pytest.mark.parametrize("named", CHANGES)
async def test_each_change_by_another_process_is_in_the_next_history(
    db: Database, events: EventRecord, named: str
) -> None:
    before = await history(events)
    other = Database(address(db), migrations=MIGRATIONS)
    await CHANGES[named](other)
    other.close()
    after = await history(events)
    assert after == await history(EventRecord(db))
    assert (after.marks, after.sequences) != (before.marks, before.sequences) or after != before


@only_sqlite
async def test_a_history_is_read_once_while_its_rows_stay(
    db: Database, events: EventRecord, reads: list[str]
) -> None:
    first = await history(events)
    assert await history(events) is first
    await append("other", shopper=COOKIE)(db)
    assert await history(events) is first, "another shopper's event"
    await append("other catalog", catalog="other")(db)
    assert await history(events) is first
    assert reads == [ANN]
    await append("new")(db)
    assert len((await history(events)).recent) == len(first.recent) + 1
    assert reads == [ANN, ANN]


@only_sqlite
async def test_a_catalog_of_the_same_id_begins_with_histories_of_its_own(
    db: Database, events: EventRecord
) -> None:
    assert (await history(events)).recent
    await remove_catalog(db)
    assert await history(events) == History(actor=ANN)
    await events.append([stored("e1"), stored("e2", product_id="p2", at=1)])
    again = await history(events)
    assert [one.product_id for one in again.recent] == ["p2", "p1"]
    assert not again.hidden


@only_sqlite
async def test_only_small_histories_are_kept_and_not_for_long(
    db: Database, events: EventRecord, reads: list[str]
) -> None:
    now = [0.0]
    kept = KeptHistories(db, lambda: now[0])
    kept.read("default", ANN, 50)
    kept.read("default", ANN, 50)
    now[0] = KEPT_SECONDS + 1
    kept.read("default", ANN, 50)
    assert reads == [ANN, ANN]
    many = [stored(f"h{n}", product_id=f"h{n}", type=EventType.HIDE) for n in range(MOST_KEPT_ROWS)]
    await events.append(many)
    kept.read("default", ANN, 50)
    kept.read("default", ANN, 50)
    assert reads == [ANN] * 4


@only_sqlite
async def test_histories_of_a_catalog_are_dropped_when_a_shopper_is_erased(
    db: Database, events: EventRecord, reads: list[str]
) -> None:
    kept = KeptHistories(db)
    for catalog_id in ("default", "other"):
        kept.read(catalog_id, ANN, 50)
    kept.forget("default")
    for catalog_id in ("default", "other"):
        kept.read(catalog_id, ANN, 50)
    assert len(reads) == 3
    assert KEPT_SECONDS <= 10, "as docs/privacy.md promises, where another process erases"


@only_sqlite
async def test_no_event_changes_in_place_which_a_kept_history_would_miss(db: Database) -> None:
    await EventRecord(db).append([stored("e1")])
    changed = sa.update(EVENTS).values(product_id="p2")
    with pytest.raises(sa.exc.IntegrityError, match="kept histories"):
        await db.write(lambda connection: connection.execute(changed))
