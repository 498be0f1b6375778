"""Databases of PostgreSQL that tests use one after another.

One is 300 files. To make and delete those for each of 500 tests took more of the processor than
the tests themselves.
"""

from __future__ import annotations

import psycopg

from tests.postgres import PostgreSQL

END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

SCHEMA = """
SELECT 'column', attrelid::regclass::text, concat(attname, atttypid, attnotnull) FROM pg_attribute
    JOIN pg_class ON attrelid = pg_class.oid WHERE relnamespace = 'public'::regnamespace
UNION SELECT 'trigger', tgrelid::regclass::text, concat(tgname, tgenabled) FROM pg_trigger
UNION SELECT 'constraint', conrelid::regclass::text, conname FROM pg_constraint
UNION SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
"""

WRITTEN = """
SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
    AND relkind = 'r' AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
"""

Schema = list[tuple[str, ...]]


class Emptied:
    """Copies of one template database."""

    def __init__(self, server: PostgreSQL, template: str) -> None:
        """Set the template, which is migrated and has no rows except the revision's."""
        self._server = server
        self._template = template
        with server.connect(template) as connection:
            self._schema = _schema(connection)
            assert not connection.execute(WRITTEN).fetchall(), "a template with rows"
        self._free: list[str] = []
        self._made = 0

    def take(self) -> str:
        """Return the name of an empty copy."""
        if self._free:
            return self._free.pop()
        self._made += 1
        name = f"{self._template}_{self._made}"
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return name

    def give_back(self, name: str) -> None:
        """Disconnect all users of a copy and empty it; drop it if its schema was changed."""
        with self._server.connect(name) as connection:
            connection.execute(END_OTHERS)
            same = _schema(connection) == self._schema
            written = [table for (table,) in connection.execute(WRITTEN)]
            if same and written:
                # An audit's triggers refuse it otherwise.
                connection.execute("SET session_replication_role = replica")
                connection.execute(
                    f"TRUNCATE {', '.join(written)} RESTART IDENTITY CASCADE".encode()
                )
        if same:
            self._free.append(name)
        else:
            self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _schema(connection: psycopg.Connection) -> Schema:
    return connection.execute(SCHEMA).fetchall()
