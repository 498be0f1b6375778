"""Expand, migrate, contract: the last release works on this one's tables; a new store has the
tables of one that was upgraded."""

from __future__ import annotations

import warnings
from pathlib import Path
from secrets import token_hex

import pytest
import sqlalchemy as sa

from ranker.record import tables as ranker
from retriever import record as retriever
from servicekit.sql import revisions
from servicekit.sql.database import Database
from tests.contracts.released import MIGRATIONS, SERVICES, newest, released, releases
from tests.fakes import first_tables
from tests.schemas import described
from tests.stores import POSTGRESQL, STARTED, Stores

METADATA = {"retriever": retriever.metadata, "ranker": ranker.METADATA}
WITHOUT_NEWER = "0.14.0"
"""The last release that does not start on a schema which a later one made."""
OF_OLD_STORES = "keywords.words"
"""A column that only stores of 0.40 and before have, on PostgreSQL, and no release reads."""


class Opened:
    """Opens stores of a service, new ones or of release 0.30."""

    def __init__(self, service: str, engine: str, stores: Stores, folder: Path) -> None:
        self._service, self._engine, self._stores, self._folder = service, engine, stores, folder

    def store(self, name: str) -> Database:
        """Return a store without tables."""
        url = f"sqlite:///{self._folder}/{name}.db"
        if self._engine == POSTGRESQL:
            whole = f"{name}_{token_hex(4)}"
            self._stores.server().execute(f"CREATE DATABASE {whole}")
            url = self._stores.server().url(whole)
        return Database(url, migrations=MIGRATIONS[self._service])

    def first(self, name: str) -> Database:
        """Return a store as release 0.30 made it."""
        made = self.store(name)
        with made._migration_connection() as connection:
            first_tables.create(connection, self._service)
        return made


@pytest.fixture
def opened(service: str, engine: str, stores: Stores, tmp_path: Path) -> Opened:
    return Opened(service, engine, stores, tmp_path)


def schema(connection: sa.Connection) -> set[str]:
    """Return a store's schema, without what only old stores have."""
    return {
        one for one in described(connection) if "keywords_words" not in one and "'words'" not in one
    }


each_store = pytest.mark.parametrize("engine", ["sqlite", STARTED])
each_service = pytest.mark.parametrize("service", SERVICES)


@each_store
@each_service
def test_the_last_release_can_live_on_this_one_s_tables(service: str, opened: Opened) -> None:
    upgraded, new = opened.first("released"), opened.store("new")
    its_own = sa.MetaData()
    with upgraded._migration_connection() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?i).*expression-based index")
        revisions.upgrade(connection, MIGRATIONS[service], to=released()[service])
        its_own.reflect(connection)
    assert its_own.tables
    for database in (upgraded, new):
        database.migrate()
        problems = [one for one in database.obstacles(its_own) if OF_OLD_STORES not in one]
        assert problems == []
        assert database.obstacles(METADATA[service]) == [], "it would not start after a roll-back"
        database.close()


@each_store
@each_service
def test_a_new_store_has_the_tables_of_an_upgraded_one(service: str, opened: Opened) -> None:
    seen = []
    for database in (opened.first("upgraded"), opened.store("new")):
        database.migrate()
        with database.engine.connect() as connection:
            seen.append(schema(connection))
        database.close()
    assert seen[0] == seen[1]


@each_store
@each_service
def test_the_tables_of_each_earlier_revision_can_be_made(service: str, opened: Opened) -> None:
    package = MIGRATIONS[service]
    upgraded = opened.first("earlier")
    for revision in [None, *upgraded.schema().missing]:
        with upgraded._migration_connection() as connection:
            if revision is not None:
                revisions.upgrade(connection, package, to=revision)
            found = revisions.schema(connection, package).found
            expected = schema(connection)
        made = opened.store(f"made{found}")
        with made._migration_connection() as connection:
            revisions.create(connection, package, found)
            assert schema(connection) == expected
            assert revisions.schema(connection, package).found == found
        made.close()
    upgraded.close()


def test_the_last_release_is_the_one_before_this_or_this_one_itself() -> None:
    assert released()["version"] in releases()[:2]


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_migrated_for_a_release_before_that_would_not_start_then(service: str) -> None:
    if released()["version"] == WITHOUT_NEWER:
        assert newest(service) == released()[service]
