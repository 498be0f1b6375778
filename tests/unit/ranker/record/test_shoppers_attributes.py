import pytest

from ranker.domain.events import Identity, Shopper
from ranker.record.events import EventRecord
from ranker.record.shoppers import ShopperRecord
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW

ANN, COOKIE = Shopper(Identity.USER, "ann"), Shopper(Identity.VISITOR, "cookie")
USER, VISITOR = KEY.of("default", ANN), KEY.of("default", COOKIE)


@pytest.fixture
def record(db: Database) -> ShopperRecord:
    return ShopperRecord(db)


async def give(
    record: ShopperRecord, actor: str = USER, catalog: str = "default", **given: str
) -> int:
    return await record.set_attributes(
        catalog, actor, given, consent=True, key_id=KEY.key_id, now_micros=NOW
    )


async def attributes(db: Database, actor: str = USER) -> dict[str, str]:
    history = await EventRecord(db).history("default", actor, limit=1, with_seen=False)
    return dict(history.attributes)


async def test_what_is_given_takes_the_place_of_what_was_given_before(
    db: Database, record: ShopperRecord
) -> None:
    assert await give(record, age="30s", size="M") == 0
    assert await give(record, size="L") == 2
    assert await attributes(db) == {"size": "L"}
    assert await give(record) == 1
    assert await attributes(db) == {}


async def test_a_training_reads_all_of_a_catalog_by_the_names_of_features(
    record: ShopperRecord,
) -> None:
    await give(record, age="30s", size="M")
    await give(record, VISITOR, age="20s")
    await give(record, USER, "other", age="50s")
    found = await record.attributes("default")
    assert found == {USER: ("age=30s", "size=M"), VISITOR: ("age=20s",)}


async def test_a_merge_moves_what_the_visitor_gave_and_leaves_what_the_user_gave(
    db: Database, record: ShopperRecord
) -> None:
    await give(record, VISITOR, age="20s", size="M")
    await give(record, USER, age="30s")
    shoppers = ShopperRecord(db)
    await shoppers.merge("default", VISITOR, USER, key_id=KEY.key_id, now_micros=NOW)
    assert await record.attributes("default") == {USER: ("age=30s", "size=M")}
    # Afterwards the visitor's id means the user.
    assert await give(record, VISITOR, size="S") == 2
    assert await attributes(db, VISITOR) == await attributes(db) == {"size": "S"}
