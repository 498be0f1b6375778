"""Statements that are compiled once, on each engine."""

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.record import answers, consents, counts, merged_owners, popularity
from ranker.record.rows import Among, RowsStatement
from ranker.record.tables import ALIASES
from servicekit.sql.database import Database
from tests.stores import only_sqlite

LOOKUPS = {
    "answers": answers._KNOWN,
    "consents": consents._DECIDED,
    "aliases": merged_owners._OWNERS,
    "count_gaps": counts._GAPS,
    "popularity": popularity._COUNTS,
}


async def test_rows_are_written_and_found_by_a_list(db: Database) -> None:
    t = ALIASES.c
    given = sa.select(t.visitor, t.actor).where(Among(t.visitor, "names")).order_by(t.visitor)
    insert, found = RowsStatement(sa.insert(ALIASES)), RowsStatement(given)
    usual = {"catalog_id": "default", "key_id": "k", "merged_micros": 1}

    def write(connection: Connection) -> None:
        insert.each(connection, [usual | {"visitor": f'"{n}', "actor": f"a{n}"} for n in range(4)])

    def read(connection: Connection) -> list[dict[str, str]]:
        asked: list[list[str]] = [['"1', '"3', "none"], []]
        return [found.pairs(connection, {"names": names}) for names in asked]

    await db.write(write)
    assert await db.read(read) == [{'"1': "a1", '"3': "a3"}, {}]


@only_sqlite
@pytest.mark.parametrize("table", LOOKUPS)
async def test_the_texts_of_a_list_are_looked_up_in_an_index(db: Database, table: str) -> None:
    def plan(connection: Connection) -> str:
        text, _, order = LOOKUPS[table]._made(connection.dialect)
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (None,) * len(order))
        return next(str(row[3]) for row in rows if table in row[3])

    assert "(catalog_id=? AND" in await db.read(plan)
