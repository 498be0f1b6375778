"""Expand, migrate, contract: the last release works on this one's tables."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import sqlalchemy as sa

from ranker.record import tables as ranker
from retriever import record as retriever
from servicekit.sql import revisions
from servicekit.sql.database import Database
from tests.contracts.released import MIGRATIONS, SERVICES, newest, released, releases
from tests.stores import POSTGRESQL, STARTED, Stores

METADATA = {"retriever": retriever.metadata, "ranker": ranker.METADATA}
WITHOUT_NEWER = "0.14.0"
"""The last release that does not start on a schema which a later one made."""


@pytest.mark.parametrize("engine", ["sqlite", STARTED])
@pytest.mark.parametrize("service", SERVICES)
def test_the_last_release_can_live_on_this_one_s_tables(
    service: str, engine: str, stores: Stores, tmp_path: Path
) -> None:
    package, url = MIGRATIONS[service], f"sqlite:///{tmp_path}/store.db"
    if engine == POSTGRESQL:
        stores.server().execute(f"CREATE DATABASE released_{service}")
        url = stores.server().url(f"released_{service}")
    database = Database(url, migrations=package)
    its_own = sa.MetaData()
    with database._migration_connection() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?i).*expression-based index")
        revisions.upgrade(connection, package, to=released()[service])
        its_own.reflect(connection)
    database.migrate()
    assert its_own.tables
    assert database.obstacles(its_own) == []
    assert database.obstacles(METADATA[service]) == [], "it would not start after a roll-back"
    database.close()


def test_the_last_release_is_the_one_before_this_or_this_one_itself() -> None:
    assert released()["version"] in releases()[:2]


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_migrated_for_a_release_before_that_would_not_start_then(service: str) -> None:
    if released()["version"] == WITHOUT_NEWER:
        assert newest(service) == released()[service]
