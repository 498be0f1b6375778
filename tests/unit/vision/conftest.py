"""A record of watches on real SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servicekit.sql.database import Database
from tests.fakes.clock import Clock
from tests.stores import SQLITE, NewStore, Stores
from vision.record import Record

MIGRATIONS = "vision.record.migrations"


@pytest.fixture
def new_store(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[NewStore]:
    """Return a factory of stores on SQLite; the tests of the record itself request each engine."""
    with stores.on(getattr(request, "param", SQLITE), tmp_path) as make:
        yield make


@pytest.fixture
def db(new_store: NewStore) -> Iterator[Database]:
    """Return an empty record."""
    made = Database(new_store(MIGRATIONS, "vision.db"), migrations=MIGRATIONS)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(db: Database, clock: Clock) -> Record:
    return Record(db, clock)
