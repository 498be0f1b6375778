from collections.abc import Sequence

import numpy as np
import pytest

from ranker.domain.events import EventType, Identity, Shopper, StoredEvent, Written
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.events import EventRecord
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import ANSWERS
from servicekit.sql.database import Database
from tests.fakes.ranker import HOUR, KEY, NOW, stored

ANN, BOB = Shopper(Identity.USER, "ann"), Shopper(Identity.USER, "bob")
COOKIE = Shopper(Identity.VISITOR, "cookie")


def alias(shopper: Shopper, catalog: str = "default") -> str:
    return KEY.of(catalog, shopper)


def by_cookie(event_id: str, **fields: object) -> StoredEvent:
    return stored(event_id, shopper=COOKIE, **fields)


@pytest.fixture
def events(db: Database) -> EventRecord:
    return EventRecord(db)


@pytest.fixture
def shoppers(db: Database) -> ShopperRecord:
    return ShopperRecord(db)


async def merge(shoppers: ShopperRecord, user: Shopper = ANN, catalog: str = "default") -> int:
    visitor = alias(COOKIE, catalog)
    return await shoppers.merge(
        catalog, visitor, alias(user, catalog), key_id=KEY.key_id, now_micros=NOW
    )


async def ids(events: EventRecord, who: Shopper, catalog: str = "default") -> Sequence[str]:
    found = await events.events_of(catalog, alias(who, catalog), limit=50, before=None)
    return [one.event.event_id for one in found]


async def history(events: EventRecord, who: Shopper):
    return await events.history("default", alias(who), limit=50, with_seen=True)


async def test_what_a_visitor_did_is_the_users_and_hides_with_it(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await events.append(
        [
            stored("e1", product_id="mine"),
            by_cookie("e2", product_id="theirs", at=1),
            by_cookie("e3", product_id="ugly", type=EventType.HIDE, at=2),
        ]
    )
    assert await merge(shoppers) == 2
    found = await history(events, ANN)
    assert [one.product_id for one in found.recent] == ["theirs", "mine"]
    assert found.hidden == {"ugly"}
    assert {one.actor for one in await events.interactions("default")} == {alias(ANN)}


async def test_an_unhide_by_the_user_takes_back_the_visitors_hide_of_before(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await events.append([by_cookie("e1", type=EventType.HIDE)])
    await events.append([stored("e2", type=EventType.UNHIDE, at=1)])
    await merge(shoppers)
    assert (await history(events, ANN)).hidden == frozenset()


async def test_what_comes_in_later_under_the_visitors_id_is_the_users(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await merge(shoppers)
    await events.append([by_cookie("e1", product_id="later")])
    assert [one.product_id for one in (await history(events, ANN)).recent] == ["later"]
    assert {one.actor for one in await events.interactions("default")} == {alias(ANN)}


async def test_whoever_asks_by_the_visitors_id_is_the_user(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await events.append([stored("e1")])
    assert (await history(events, COOKIE)).actor == alias(COOKIE)
    await merge(shoppers)
    assert await history(events, COOKIE) == await history(events, ANN)
    assert (await history(events, COOKIE)).actor == alias(ANN)
    assert await ids(events, COOKIE) == ["e1"]


async def test_merging_again_moves_nothing(events: EventRecord, shoppers: ShopperRecord) -> None:
    await events.append([by_cookie("e1")])
    assert await merge(shoppers) == 1
    await events.append([by_cookie("e2", at=1)])
    assert await merge(shoppers) == 0
    assert await ids(events, ANN) == ["e2", "e1"]


async def test_a_retry_after_the_merge_is_still_the_same_event(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await events.append([by_cookie("e1")])
    await merge(shoppers)
    outcomes = await events.append([by_cookie("e1"), stored("e1")])
    assert outcomes == (Written.DUPLICATE, Written.CONFLICT)


async def test_of_two_users_the_later_one_gets_what_comes_later(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await events.append([by_cookie("e1")])
    await merge(shoppers, ANN)
    assert await merge(shoppers, BOB) == 0
    await events.append([by_cookie("e2")])
    assert (await ids(events, ANN), await ids(events, BOB)) == (["e1"], ["e2"])


async def test_popularity_counts_no_event_twice(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await events.append([stored("e1", product_id="a"), by_cookie("e2", product_id="b")])
    await merge(shoppers)
    np.testing.assert_allclose(await events.popularity("default", ["a", "b"]), [1.0, 1.0])


async def test_another_catalogs_visitor_of_that_id_stays_a_visitor(
    events: EventRecord, shoppers: ShopperRecord
) -> None:
    await events.append([stored("e1", "other", shopper=COOKIE)])
    assert await merge(shoppers) == 0
    await events.append([stored("e2", "other", shopper=COOKIE, at=1)])
    assert await ids(events, COOKIE, "other") == ["e2", "e1"]
    assert await ids(events, ANN, "other") == []


async def test_records_of_answers_follow_before_and_after(
    db: Database, shoppers: ShopperRecord
) -> None:
    log = AnswerLog(db)

    def answer(answer_id: str, who: str) -> StoredAnswer:
        return StoredAnswer("default", answer_id, who, KEY.key_id, b"", NOW + HOUR)

    await log.write([answer("before", alias(COOKIE)), answer("nobody", "")], NOW)
    await merge(shoppers)
    await log.write([answer("after", alias(COOKIE))], NOW)
    rows = await db.read(lambda c: c.execute(ANSWERS.select()).all())
    assert {row.answer_id: row.actor for row in rows} == {
        "before": alias(ANN),
        "after": alias(ANN),
        "nobody": "",
    }
