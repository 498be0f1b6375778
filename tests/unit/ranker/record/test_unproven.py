"""Events of unproven shoppers count for these shoppers, and for nothing that others see."""

from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from ranker.domain.consent import Decision, Purpose
from ranker.domain.events import EventType, Identity, Shopper, StoredEvent
from ranker.domain.private_counts import CountsOrder
from ranker.domain.selection import PurgePlace, Selection
from ranker.domain.signals import DEFAULTS
from ranker.record.consent_changes import ConsentRecord
from ranker.record.counting import fold
from ranker.record.events import EventRecord
from ranker.record.private_counts import BudgetRecord
from ranker.record.recounting import RecountRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import COUNT_DAYS, COUNT_GAPS, COUNT_PAIRS, POPULARITY
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored

ANN, COOKIE = Shopper(Identity.USER, "ann"), Shopper(Identity.VISITOR, "cookie")
BUY = EventType.PURCHASE
MIXED, CLEAN = "mixed", "clean"
"""Two catalogs with the same events of proven shoppers, one of them with unproven ones too."""
Step = Callable[[Database, str], Awaitable[object]]


def proven(catalog: str) -> list[StoredEvent]:
    return [
        stored("a1", catalog, product_id="a"),
        stored("a2", catalog, product_id="b", at=-2),
        stored("a3", catalog, product_id="a", at=-48),
        stored("c1", catalog, product_id="a", shopper=COOKIE),
        stored("c2", catalog, product_id="c", shopper=COOKIE, at=-30),
    ]


def unproven() -> list[StoredEvent]:
    """Return stronger events of the same shoppers and days, and such of invented ones."""
    people = [COOKIE, ANN, *(Shopper(Identity.VISITOR, f"invented{n}") for n in range(5))]
    return [
        stored(
            f"{who}{item}{at}", MIXED, at=at, product_id=item, type=kind, shopper=person,
            unproven=True,
        )
        for who, person in enumerate(people)
        for item, kind, at in (("a", BUY, 0), ("evil", BUY, -1), ("c", EventType.VIEW, -30))
    ]  # fmt: skip


async def seen_by_others(db: Database, catalog: str) -> dict[str, object]:
    """Return all sums of a catalog, and what models learn from, without names of shoppers."""
    while (await db.write(lambda connection: fold(connection, DEFAULTS))).units:
        pass

    def rows(table: sa.Table) -> Callable[[sa.Connection], list[tuple[object, ...]]]:
        mine = sa.select(*table.columns[1:]).where(table.c.catalog_id == catalog)
        return lambda connection: sorted(map(tuple, connection.execute(mine)))

    events, order = EventRecord(db), CountsOrder(Selection(catalog), 1.0, "", 8)
    return {
        **{t.name: await db.read(rows(t)) for t in (COUNT_DAYS, COUNT_GAPS, COUNT_PAIRS)},
        "popularity": dict(await db.read(rows(POPULARITY))),  # type: ignore[arg-type]
        "popular": await events.most_popular(catalog, 10),
        "learned": [one.event_id for one in await events.interactions(catalog)],
        "private": await BudgetRecord(db).count(order),
    }


async def _train(db: Database, catalog: str, *, granted: bool) -> None:
    whose = KEY.of(catalog, COOKIE)
    said = [Decision(Purpose.TRAIN, granted, "banner", NOW + granted)]
    await ConsentRecord(db).decide(catalog, whose, said, key_id=KEY.key_id)


async def refuse(db: Database, catalog: str) -> None:
    await _train(db, catalog, granted=False)


async def allow(db: Database, catalog: str) -> None:
    await refuse(db, catalog)
    await _train(db, catalog, granted=True)


async def expire(db: Database, catalog: str) -> None:
    for kind in (EventType.VIEW, BUY):
        await SelectionRecord(db).expire(catalog, kind, NOW, 100)


async def purge(db: Database, catalog: str) -> None:
    chosen = Selection(catalog, before_micros=NOW)
    await SelectionRecord(db).delete(chosen, PurgePlace(), 100)


async def merge(db: Database, catalog: str) -> None:
    names = [KEY.of(catalog, one) for one in (COOKIE, ANN)]
    await ShopperRecord(db).merge(catalog, *names, key_id=KEY.key_id, now_micros=NOW)


async def recount(db: Database, catalog: str) -> None:
    await RecountRecord(db).products(catalog, "", 100)
    await RecountRecord(db).shoppers(catalog, "", 100)


async def nothing(db: Database, catalog: str) -> None:
    pass


@pytest.mark.first(2)
@pytest.mark.parametrize("step", [nothing, refuse, allow, expire, purge, merge, recount])
async def test_others_see_the_same_with_and_without_unproven_events(
    db: Database, step: Step
) -> None:
    events = EventRecord(db)
    await events.append([*unproven()[:10], *proven(MIXED), *proven(CLEAN)])
    await events.append(unproven()[10:])
    found = []
    for catalog in (MIXED, CLEAN):
        await step(db, catalog)
        found.append(await seen_by_others(db, catalog))
    mixed, clean = ((each.pop("popularity"), each.pop("popular"), each) for each in found)
    assert mixed[2] == clean[2]
    assert mixed[0] == pytest.approx(clean[0])
    assert [item for item, _ in mixed[1]] == [item for item, _ in clean[1]]  # type: ignore[attr-defined]
    assert clean[2]["learned"]
    assert clean[1]


async def test_a_shoppers_own_answers_use_their_unproven_events(db: Database) -> None:
    await EventRecord(db).append(unproven())
    whose = KEY.of(MIXED, COOKIE)
    history = await EventRecord(db).history(MIXED, whose, limit=10, with_seen=True)
    assert [one.product_id for one in history.recent] == ["a", "evil", "c"]
    assert history.seen == {"a", "evil", "c"}
    kept = await EventRecord(db).events_of(MIXED, whose, limit=10, before=None)
    assert all(one.event.unproven for one in kept)
