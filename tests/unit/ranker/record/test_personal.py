"""Copies of a shopper's rows, in pages that lose no row."""

import json

import pytest
import sqlalchemy as sa

from ranker.record.events import EventRecord
from ranker.record.personal import Key, PersonalRecord, PersonalRow, key_types
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import METADATA
from servicekit.sql.database import Database
from tests.fakes.ranker import KEY, NOW, stored

ANN = stored("any").actor
COUNT = 7


async def fill(db: Database) -> None:
    await EventRecord(db).append([stored(f"e{number}") for number in range(COUNT)])
    values = {f"key{number}": "value" for number in range(COUNT)}
    given = {"consent": True, "key_id": KEY.key_id, "now_micros": NOW}
    await ShopperRecord(db).set_attributes("default", ANN, values, **given)


@pytest.mark.first(2)
@pytest.mark.parametrize("expires", [False, True])
@pytest.mark.parametrize(("table", "name"), [("events", "event_id"), ("attributes", "key")])
async def test_rows_that_expire_between_two_pages_hide_no_others(
    db: Database, table: str, name: str, *, expires: bool
) -> None:
    await fill(db)
    record, found = PersonalRecord(db), list[PersonalRow]()
    after: Key = ()
    while page := await record.rows("default", (ANN,), table, after, 2):
        found += page
        after = page[-1].key
        assert [type(value) for value in after] == [*key_types(table)]
        if expires:
            column = METADATA.tables[table].c[name]
            gone = sa.delete(METADATA.tables[table]).where(column == json.loads(page[0].json)[name])
            await db.write(lambda connection, gone=gone: connection.execute(gone))
    names = [json.loads(row.json)[name] for row in found]
    assert sorted(names) == sorted({*names})
    assert len(names) == COUNT
