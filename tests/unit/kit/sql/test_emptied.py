"""The promise of `tests.emptied` to tests on PostgreSQL: each gets an empty, migrated database."""

import psycopg
import pytest

from tests.emptied import Emptied
from tests.postgres import PostgreSQL
from tests.stores import Stores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(stores: Stores) -> PostgreSQL:
    made = stores.server()
    made.execute("CREATE DATABASE fruit")
    with made.connect("fruit") as connection:
        connection.execute("CREATE TABLE fruit (id serial PRIMARY KEY, name text)")
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'append-only'; END $$"
        )
        connection.execute("CREATE TRIGGER kept BEFORE TRUNCATE ON fruit EXECUTE FUNCTION refuse()")
    return made


@pytest.fixture(scope="module")
def databases(server: PostgreSQL) -> Emptied:
    return Emptied(server, "fruit")


def add(server: PostgreSQL, name: str) -> int:
    with server.connect(name) as connection:
        found = connection.execute("INSERT INTO fruit (name) VALUES ('fig') RETURNING id")
        return found.fetchall()[0][0]


@pytest.mark.full
def test_rows_are_gone_and_counting_begins_anew(server: PostgreSQL, databases: Emptied) -> None:
    name = databases.take()
    assert [add(server, name), add(server, name)] == [1, 2]
    databases.give_back(name)
    assert databases.take() == name
    assert add(server, name) == 1
    databases.give_back(name)


def test_who_is_still_connected_is_gone(server: PostgreSQL, databases: Emptied) -> None:
    name = databases.take()
    with server.connect(name) as left:
        left.execute("BEGIN")
        left.execute("SELECT * FROM fruit")  # which would keep a TRUNCATE waiting
        databases.give_back(name)
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE fruit ADD COLUMN colour text",
        "ALTER TABLE fruit DISABLE TRIGGER kept",
        "DROP TRIGGER kept ON fruit",
        "CREATE TABLE nuts (id integer)",
        "CREATE INDEX by_name ON fruit (name)",
        "ALTER TABLE fruit DROP CONSTRAINT fruit_pkey",
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$",
    ],
)
def test_a_changed_schema_is_no_other_tests(
    server: PostgreSQL, databases: Emptied, change: str
) -> None:
    name = databases.take()
    with server.connect(name) as connection:
        connection.execute(change.encode())
    databases.give_back(name)
    assert databases.take() != name
