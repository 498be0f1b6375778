"""Empty records on either engine, quickly: migrations take ten times as long as a copy."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from servicekit.sql.database import Database
from tests.emptied import Emptied
from tests.postgres import NoPostgreSQL, PostgreSQL, postgresql

SQLITE, POSTGRESQL = "sqlite", "postgresql"

NewStore: TypeAlias = Callable[[str, str], str]
"""(package of migrations, name of its file) to the URL of an empty, migrated store."""

IN_PLACE = """
CREATE TRIGGER events_stay BEFORE UPDATE OF
    sequence, catalog_id, event_id, type, kind, product_id, time_micros, value, quantity, order_id,
    unproven
ON events
BEGIN SELECT RAISE(ABORT, 'an event changed in place: kept histories (KeptHistories) miss it'); END
"""
"""Rejects changes of stored events by which no number of an event comes or goes."""
GUARDS = {"ranker.record.migrations": IN_PLACE}
"""By package of migrations: a trigger of all its stores on SQLite in tests."""

STARTED = pytest.param(POSTGRESQL, marks=pytest.mark.slow)
"""PostgreSQL as a test's parameter: a process, which `make check` does without."""

each_engine = pytest.mark.parametrize("new_store", [SQLITE, STARTED], indirect=True)
"""Mark of tests that run on both engines where one is the rule."""

only_sqlite = pytest.mark.parametrize("new_store", [SQLITE], indirect=True)
"""Mark of tests of SQLite's own behaviour: its plans, its file."""

only_postgresql = pytest.mark.parametrize("new_store", [STARTED], indirect=True)
"""Mark of tests of PostgreSQL's own behaviour: parallel writers."""


class Stores:
    """Template of each engine and service; `folder` keeps those of SQLite."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Set the folder; `stack` ends what is started."""
        self._folder = folder
        self._stack = stack
        self._server: PostgreSQL | None = None
        self._databases: dict[str, Emptied] = {}

    @contextmanager
    def on(self, engine: str, folder: Path) -> Iterator[NewStore]:
        """Yield a factory of stores on this engine; those of SQLite are in `folder`."""
        with ExitStack() as stack:

            def make(migrations: str, file: str) -> str:
                if engine == SQLITE:
                    return self.sqlite(migrations, folder / file)
                return self._postgresql(migrations, stack)

            yield make

    def sqlite(self, migrations: str, file: Path) -> str:
        """Return the URL of an empty, migrated store in a new file."""
        template = self._folder / f"{migrations}.db"
        if not template.exists():
            migrate(f"sqlite:///{template}", migrations)
            _guard(template, migrations)
        shutil.copyfile(template, file)
        return f"sqlite:///{file}"

    def _postgresql(self, migrations: str, stack: ExitStack) -> str:
        server = self.server()
        template = migrations.replace(".", "_")
        if template not in self._databases:
            server.execute(f"CREATE DATABASE {template}")
            migrate(server.url(template), migrations)
            self._databases[template] = Emptied(server, template)
        name = self._databases[template].take()
        stack.callback(self._databases[template].give_back, name)
        return server.url(name)

    def server(self) -> PostgreSQL:
        """Return the server of this process's tests; skip the test if there is none."""
        if self._server is None:
            try:
                self._server = self._stack.enter_context(postgresql(durable=False))
            except NoPostgreSQL as error:
                pytest.skip(str(error))
        return self._server


def address(database: Database) -> str:
    """Return the URL of an open store, so that another process can open it."""
    return database.engine.url.render_as_string(hide_password=False)


def _guard(file: Path, migrations: str) -> None:
    if migrations in GUARDS:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(GUARDS[migrations])


def migrate(url: str, migrations: str) -> None:
    """Bring the store to the newest revision and close it."""
    made = Database(url, migrations=migrations)
    made.migrate()
    made.close()
