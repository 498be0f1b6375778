"""One shopper's rows in SQL, by the registry of personal data: listed and deleted."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain import personal_data
from ranker.domain.answer_columns import without_costs
from ranker.domain.erasure import Person, person_hash, without
from ranker.record import encrypted_columns
from ranker.record.merged_owners import gate, owner
from ranker.record.rows import TableRecord
from ranker.record.tables import (
    ALIASES,
    ANSWERS,
    ATTRIBUTES,
    COUNT_QUEUE,
    EVENTS,
    JOBS,
    METADATA,
)

OWNED = tuple(name for name, one in personal_data.TABLES.items() if one.owners)
"""Tables whose rows belong to one shopper."""
TIMES = {
    "events": "received_micros",
    "answers": "answer_micros",
    "attributes": "consent_micros",
    "aliases": "merged_micros",
}
"""Column with the time of a row, of tables into which shoppers' data is written directly."""


Key: TypeAlias = tuple[str | int, ...]
"""Values of a primary key."""


class PersonalRow(NamedTuple):
    """A row about a shopper."""

    key: Key
    json: str


def key_types(table: str) -> tuple[type, ...]:
    """Return the types of a table's primary key."""
    return tuple(column.type.python_type for column in METADATA.tables[table].primary_key.columns)


class PersonalRecord(TableRecord):
    async def actors(self, catalog_id: str, actor: str) -> tuple[str, ...]:
        """Return the pseudonyms of a shopper: the one that owns their data, then those of merged
        visitors."""
        return await self._db.read(lambda connection: _actors(connection, catalog_id, actor))

    async def has_any(self, catalog_id: str, actors: Sequence[str]) -> bool:
        """Return whether the record has a row of the shopper."""

        def look(connection: Connection) -> bool:
            return any(
                connection.execute(_select(name, catalog_id, actors).limit(1)).first()
                for name in OWNED
            )

        return await self._db.read(look)

    async def rows(
        self, catalog_id: str, actors: Sequence[str], table: str, after: Key, limit: int
    ) -> list[PersonalRow]:
        """Return the shopper's rows of a table: `limit` rows after the one with this primary key
        (empty: from the first on), in its order. Rows that are deleted meanwhile hide no others."""
        keys = METADATA.tables[table].primary_key.columns
        statement = _select(table, catalog_id, actors).order_by(*keys).limit(limit)
        if after:
            given = zip(keys, after, strict=True)
            place = sa.tuple_(*(sa.literal(value, column.type) for column, value in given))
            statement = statement.where(sa.tuple_(*keys) > place)

        def read(connection: Connection) -> list[PersonalRow]:
            found = [dict(row._mapping) for row in connection.execute(statement)]
            places = [tuple(row[column.name] for column in keys) for row in found]
            texts = [_as_json(_unsealed(connection, table, row)) for row in found]
            return list(map(PersonalRow, places, texts))

        return await self._db.read(read)

    async def delete(self, person: Person, table: str, limit: int) -> int:
        """Delete at most `limit` rows of a shopper that were written before the request. Return
        their number."""
        return await self._db.write(lambda connection: _delete(connection, person, table, limit))

    async def is_counted(self, person: Person) -> bool:
        """Return whether no changed day of the shopper waits to be counted again. A day without
        events loses its row when it is counted."""
        t = COUNT_QUEUE.c
        named = sa.or_(*(t.units.contains(actor) for actor in person.actors))
        waiting = sa.select(t.sequence).where(t.catalog_id == person.catalog_id, named).limit(1)
        return await self._db.read(lambda c: c.execute(waiting).first() is None)

    async def forget_in_jobs(self, person: Person, but: str = "") -> int:
        """Replace the shopper's pseudonyms in the parameters of jobs, but for the job of this id.
        Return the number of changed jobs."""
        return await self._db.write(lambda connection: _forget(connection, person, but))

    async def known(self, catalog_id: str) -> dict[str, str]:
        """Return all pseudonyms with data in the record, by their hashes."""

        def look(connection: Connection) -> dict[str, str]:
            found: set[str] = set()
            for name in OWNED:
                table = METADATA.tables[name]
                for column in personal_data.TABLES[name].owners:
                    here = table.c.catalog_id == catalog_id
                    statement = sa.select(table.c[column]).where(here).distinct()
                    found.update(connection.execute(statement).scalars())
            return {person_hash(actor): actor for actor in found if actor}

        return await self._db.read(look)


def _actors(connection: Connection, catalog_id: str, actor: str) -> tuple[str, ...]:
    user = owner(connection, catalog_id, actor)
    t = ALIASES.c
    merged = sa.select(t.visitor).where(t.catalog_id == catalog_id, t.actor == user)
    return (user, *sorted(set(connection.execute(merged).scalars()) - {user}))


def _theirs(table: sa.Table, catalog_id: str, actors: Sequence[str]) -> sa.ColumnElement[bool]:
    owners = personal_data.TABLES[table.name].owners
    inside = personal_data.TABLES[table.name].inside
    whose = sa.or_(
        *(table.c[column].in_(actors) for column in owners),
        *(table.c[inside].contains(actor) for actor in (actors if inside else ())),
    )
    return sa.and_(table.c.catalog_id == catalog_id, whose)


def _select(name: str, catalog_id: str, actors: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
    table = METADATA.tables[name]
    return sa.select(table).where(_theirs(table, catalog_id, actors))


def _delete(connection: Connection, person: Person, name: str, limit: int) -> int:
    gate(connection, person.catalog_id, alone=True)
    table = METADATA.tables[name]
    keys = sa.tuple_(*table.primary_key.columns)
    before = table.c[TIMES[name]] <= person.requested_micros
    mine = _theirs(table, person.catalog_id, person.actors)
    some = sa.select(*table.primary_key.columns).where(mine, before).limit(limit)
    return connection.execute(sa.delete(table).where(keys.in_(some))).rowcount


def _forget(connection: Connection, person: Person, but: str) -> int:
    gate(connection, person.catalog_id, alone=True)
    t = JOBS.c
    named = sa.or_(*(t.params.contains(actor) for actor in person.actors))
    mine = (t.catalog_id == person.catalog_id, t.id != but, named)
    rows = connection.execute(sa.select(t.id, t.params).where(*mine)).all()
    for row in rows:
        changed = sa.update(JOBS).where(t.id == row.id)
        connection.execute(changed.values(params=without(row.params, person.actors)))
    return len(rows)


def _unsealed(connection: Connection, table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the content of its sealed texts and vectors, and without costs."""
    for name, column, binding in (
        (ATTRIBUTES.name, "value", encrypted_columns.value_of),
        (EVENTS.name, "query", encrypted_columns.query_of),
    ):
        if table == name:
            row[column] = encrypted_columns.unseal(
                connection, binding(row["catalog_id"]), row[column]
            )
    if table == ANSWERS.name:
        row["content"] = without_costs(row["content"])  # costs are the shop's own
        if row["photo"] is not None:
            about = encrypted_columns.photo_of(row["catalog_id"])
            row["photo"] = encrypted_columns.unseal_vector(connection, about, row["photo"])
    return row


def _as_json(row: Any) -> str:
    """Return a row as a JSON object, with times in ISO 8601 and bytes in hexadecimal digits."""
    return json.dumps({name: _value(name, value) for name, value in row.items()})


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if name.endswith("_micros") and isinstance(value, int) and "price" not in name:
        return datetime.fromtimestamp(value / 1e6, UTC).isoformat() if value else None
    return value
