"""Counts equal those of the existing events after any history."""

import json
import random
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from ranker.domain.events import EventType, Identity, Shopper, StoredEvent
from ranker.domain.recommenders import CountScope, CountsQuery, Near
from ranker.domain.selection import PurgePlace, Selection
from ranker.domain.signals import DEFAULTS
from ranker.record import counts
from ranker.record.count_groups import GroupRecord
from ranker.record.count_queue import enqueue
from ranker.record.counting import fold
from ranker.record.counts import CountRecord
from ranker.record.events import EventRecord, _append
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import (
    COUNT_DAYS,
    COUNT_GAPS,
    COUNT_PAIRS,
    COUNT_QUEUE,
    COUNT_RATES,
    COUNT_UNITS,
    EVENTS,
)
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from tests.fakes.ranker import HOUR, KEY, NOW, stored
from tests.stores import only_postgresql, only_sqlite

SUMS = (COUNT_PAIRS, COUNT_DAYS, COUNT_RATES, COUNT_GAPS, COUNT_UNITS)
DAY = 86_400_000_000
BUY = EventType.PURCHASE
BEFORE_1970 = NOW // HOUR + 8
"""Hours before NOW of the last day before 1970."""


class Crash(Exception):
    """Error that ends a transaction before its commit, as kill -9 does."""


async def count(db: Database, most: int = 200) -> None:
    """Count all that waits."""
    while (await db.write(lambda connection: fold(connection, DEFAULTS, most))).units:
        pass


async def found(db: Database) -> dict[str, list[tuple]]:
    """Return all counts by table."""

    def read(connection: sa.Connection) -> dict[str, list[tuple]]:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table)))) for table in SUMS
        }

    return await db.read(read)


async def recount(db: Database, most: int) -> dict[str, list[tuple]]:
    """Return all counts by table, computed only from the events."""

    def begin(connection: sa.Connection) -> None:
        for table in SUMS:
            connection.execute(sa.delete(table))
        t = EVENTS.c
        for catalog, actor, time in connection.execute(
            sa.select(t.catalog_id, t.actor, t.time_micros)
        ).all():
            enqueue(connection, catalog, [(actor, time // DAY)], 0)

    await db.write(begin)
    await count(db, most)
    return await found(db)


PEOPLE = [Shopper(Identity.USER, f"u{n}") for n in range(3)]
VISITORS = [Shopper(Identity.VISITOR, f"v{n}") for n in range(2)]
TYPES = [EventType.VIEW] * 4 + [EventType.CLICK, EventType.ADD_TO_CART, BUY, BUY]


class Shop:
    """Shop with random operations that change the counts."""

    def __init__(self, db: Database, seed: int) -> None:
        self.db, self.draw, self.number = db, random.Random(seed), 0
        self.events, self.purges = EventRecord(db), SelectionRecord(db)
        self.shoppers, self.groups = ShopperRecord(db), GroupRecord(db)

    def event(self) -> StoredEvent:
        self.number += 1
        draw = self.draw
        return stored(
            f"e{self.number}",
            at=-draw.choice([*range(90), *[BEFORE_1970] * 5]),
            type=draw.choice(TYPES),
            shopper=draw.choice(PEOPLE + VISITORS),
            product_id=f"p{draw.randrange(5)}",
            session_id=draw.choice(["", "", "s", "t"]),
            order_id=draw.choice(["", "o", "q"]),
            quantity=draw.randrange(3),
        )

    async def append(self) -> None:
        await self.events.append([self.event() for _ in range(self.draw.randrange(1, 9))])

    async def fold(self) -> None:
        await self.db.write(lambda c: fold(c, DEFAULTS, self.draw.randrange(1, 9)))

    async def crash(self) -> None:
        def killed(connection: sa.Connection) -> None:
            fold(connection, DEFAULTS)
            raise Crash

        with pytest.raises(Crash):
            await self.db.write(killed)

    async def purge(self) -> None:
        chosen = self.draw.choice(
            [{"product_id": "p1"}, {"before_micros": NOW - 3 * DAY}, {"types": (BUY,)}]
        )
        await self.purges.delete(Selection("default", **chosen), PurgePlace(), 3)

    async def expire(self) -> None:
        await self.purges.expire("default", EventType.VIEW, NOW - 2 * DAY, 3)

    async def merge(self) -> None:
        visitor, user = self.draw.choice(VISITORS), self.draw.choice(PEOPLE)
        names = [KEY.of("default", one) for one in (visitor, user)]
        await self.shoppers.merge("default", *names, key_id=KEY.key_id, now_micros=NOW)

    async def say(self) -> None:
        whose = KEY.of("default", self.draw.choice(PEOPLE + VISITORS))
        given = self.draw.choice([{}, {"country": "FR"}, {"country": "BR", "age": "30"}])
        await self.shoppers.set_attributes(
            "default", whose, given, consent=True, key_id=KEY.key_id, now_micros=NOW
        )

    async def group(self) -> None:
        chosen = self.draw.choice([(), ("category=a",), ("category=a", "category=a > b")])
        await self.groups.keep("default", {f"p{self.draw.randrange(5)}": chosen}, NOW)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
async def test_counts_are_a_recount_after_any_batches_crashes_purges_and_merges(
    db: Database, seed: int
) -> None:
    shop = Shop(db, seed)
    does = [shop.append] * 4 + [shop.fold] * 4
    does += [shop.crash, shop.purge, shop.expire, shop.merge, shop.say, shop.group]
    for _ in range(40):
        await shop.draw.choice(does)()
    await shop.append()
    await count(db)
    kept = await found(db)
    assert kept["count_pairs"]
    assert kept["count_rates"]
    for most in (1, 1000):
        assert await recount(db, most) == kept


async def pairs(db: Database) -> set[str]:
    """Return the pairs of two products, once each."""
    rows = (await found(db))["count_pairs"]
    return {f"{one}{other}" for _, _, one, other, _ in rows if "" < one < other}


@only_postgresql
async def test_what_is_committed_late_is_counted_too(db: Database) -> None:
    """Commit an event whose number is lower than those counted meanwhile."""
    events = EventRecord(db)
    with db.engine.connect() as late:
        both = [stored("1", product_id="a"), stored("2", product_id="b")]
        _append(late, both, DEFAULTS, late=False)
        await events.append([stored("3", product_id="c", shopper=PEOPLE[0])])
        await events.append([stored("4", product_id="d", shopper=PEOPLE[0])])
        await count(db)
        assert await pairs(db) == {"cd"}
        late.commit()
    await count(db)
    assert await pairs(db) == {"ab", "cd"}


@only_postgresql
async def test_one_worker_counts_at_a_time(db: Database) -> None:
    await EventRecord(db).append([stored("1", product_id="a"), stored("2", product_id="b")])
    with db.engine.connect() as other:
        assert fold(other, DEFAULTS).units == 1
        await count(db)
        assert await pairs(db) == set()
        other.commit()
    await count(db)
    assert await pairs(db) == {"ab"}


def near(found: Sequence[Near]) -> dict[str, tuple[int, int]]:
    return {f"{one.product_id}>{one.other_id}": (one.days, one.other_days) for one in found}


async def test_what_is_asked_is_read_within_its_scope_and_how_far_behind_it_is(
    db: Database,
) -> None:
    events, reader, groups = EventRecord(db), CountRecord(db), GroupRecord(db)
    ann, bob, _ = (KEY.of("default", one) for one in PEOPLE)
    await ShopperRecord(db).set_attributes(
        "default", ann, {"country": "FR"}, consent=True, key_id=KEY.key_id, now_micros=NOW
    )
    some = [(0, "a"), (0, "b"), (1, "a"), (1, "c"), (1, "c")]
    await events.append(
        stored(f"{n}", product_id=item, type=BUY, shopper=PEOPLE[whose])
        for n, (whose, item) in enumerate(some)
    )
    waiting = await reader.counted("default", CountsQuery())
    assert waiting.lag_micros == pytest.approx(now_micros() - NOW, abs=60_000_000)
    await count(db)
    assert await groups.catalogs_due(("other", "default"), NOW) == ["default"]
    assert await groups.catalogs_due(("other",), NOW) == []
    assert await groups.due("default", NOW, 10) == ["a", "b", "c"]
    await groups.keep(
        "default", {"a": ("category=x", "price_band=EUR:6"), "c": ("category=x",)}, NOW
    )
    assert await groups.due("default", NOW, 10) == ["b"]
    assert await groups.catalogs_due(("default",), 0) == []
    asked = CountsQuery(near=[("order", "a"), ("view", "a")], trending=9, best=9, actor=bob)
    whole = await reader.counted("default", asked)
    assert near(whole.near) == {
        ">": (2, 2), "a>a": (2, 2), "a>b": (1, 1), "a>c": (1, 1)
    }  # fmt: skip
    assert [item for item, _ in whole.best] == ["c", "a", "b"]
    assert {item for item, _, _ in whole.trending} == {"a", "b", "c"}
    assert [dict(bought) for _, bought in whole.purchases] == [{"a": 1, "c": 2}]
    assert whole.lag_micros == 0
    for scope, expected in (
        (CountScope(("category=x",)), "ca"),
        (CountScope(("category=x", "price_band=EUR:6")), "a"),
        (CountScope(("price_band=EUR:6",)), "a"),
        (CountScope((), "country=FR"), "ba"),
        (CountScope(("category=x",), "country=FR"), "a"),
        (CountScope(("category=y",)), ""),
    ):
        part = await reader.counted("default", CountsQuery(scope=scope, best=9, trending=9))
        assert [item for item, _ in part.best] == list(expected)
        assert {item for item, _, _ in part.trending} == set(expected)
    elsewhere = await reader.counted("other", asked)
    assert [*elsewhere.near, *elsewhere.best, *elsewhere.trending, *elsewhere.purchases] == []


async def test_habits_are_read_of_what_was_bought(db: Database) -> None:
    events = EventRecord(db)
    days = [(0, "a"), (-30, "a"), (-60, "a"), (0, "b")]
    await events.append(
        stored(f"{n}", product_id=item, type=BUY, at=24 * day) for n, (day, item) in enumerate(days)
    )
    await count(db)
    asked = CountsQuery(actor=KEY.of("default", Shopper(Identity.USER, "ann")))
    found = await CountRecord(db).counted("default", asked)
    assert found.gaps == {"a": {20: 2}, "": {20: 2}}
    assert len(found.purchases) == 3


@only_sqlite
def test_lists_are_read_through_their_indexes(db: Database) -> None:
    texts = {
        "near": counts._NEAR["sqlite"],
        "short": counts._RANKED["log_short", False],
        "sold": counts._RANKED["log_sold", True],
    }
    given = dict.fromkeys(("catalog_id", "segment", "grp", "other"), "x") | {"most": 5}
    given |= {"kinds": json.dumps(["view"]), "items": json.dumps(["a"])}
    plans = {}
    with db.engine.connect() as connection:
        for name, rows in texts.items():
            asked = sa.text(f"EXPLAIN QUERY PLAN {rows.statement.text}")
            names = asked._bindparams
            plan = connection.execute(asked, {one: given[one] for one in names})
            plans[name] = " ".join(str(row) for row in plan)
    assert "count_pairs_order (catalog_id=? AND kind=? AND product_id=?)" in plans["near"]
    assert "SCAN one" not in plans["near"]
    assert "count_rates_short (catalog_id=? AND segment=? AND grp=?)" in plans["short"]
    assert "count_rates_sold (catalog_id=? AND segment=? AND grp=?)" in plans["sold"]
    assert not [name for name, plan in plans.items() if "TEMP B-TREE" in plan]


@only_sqlite
async def test_a_batch_costs_no_more_where_much_was_counted(db: Database) -> None:
    """Compare the steps of SQLite's virtual machine."""
    events, steps = EventRecord(db), []

    async def cost(name: str) -> int:
        await events.append(
            stored(f"{name}{n}", product_id=f"{name}{n}", shopper=Shopper(Identity.USER, name))
            for n in range(5)
        )
        steps.clear()

        def counted(connection: sa.Connection) -> None:
            driver = connection.connection.driver_connection
            driver.set_progress_handler(lambda: steps.append(1), 10)
            fold(connection, DEFAULTS)
            driver.set_progress_handler(None, 0)

        await db.write(counted)
        return len(steps)

    first = await cost("first")
    many = [
        stored(f"{n}", product_id=f"p{n % 90}", shopper=Shopper(Identity.USER, f"u{n % 300}"))
        for n in range(1500)
    ]
    await events.append(many)
    await count(db)
    assert await cost("last") < 1.5 * first
    assert not (await db.read(lambda c: c.execute(sa.select(COUNT_QUEUE)).all()))
