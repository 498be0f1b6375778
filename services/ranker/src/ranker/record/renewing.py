"""Renewal of all pseudonyms of the record by later keys, in one transaction."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.pseudonyms import Pseudonyms, Renewal
from ranker.record.rows import TableRecord
from ranker.record.tables import (
    ALIASES,
    ANSWERS,
    ATTRIBUTES,
    CONSENTS,
    COUNT_QUEUE,
    COUNT_UNITS,
    ERASURES,
    EVENTS,
    JOBS,
    KEYS,
    MODELS,
)
from servicekit.sql.locks import lock

BATCH = 5_000
Said = Callable[[str, int], None]
"""(table, rows): called as tables are done."""
_PSEUDONYM = re.compile("[0-9a-f]{64}")


class RenewalRecord(TableRecord):
    async def catalogs(self) -> Sequence[str]:
        """Return all catalogs with events or models, sorted."""
        some = sa.union(*(sa.select(table.c.catalog_id) for table in (EVENTS, MODELS)))
        rows = await self._db.read(lambda connection: connection.execute(some).scalars().all())
        return sorted(rows)

    async def renew(self, pseudonyms: Pseudonyms, renewal: Renewal, said: Said) -> None:
        """Renew every pseudonym and hash, and bind the record to the last key. Nothing is changed
        if it fails."""

        def work(connection: Connection) -> None:
            lock(connection, "key of the record")
            for name, rows in _renewed(connection, renewal):
                said(name, rows)
            for table in (EVENTS, ANSWERS, ATTRIBUTES, ALIASES):
                connection.execute(sa.update(table).values(key_id=pseudonyms.key_id))
            theirs = sa.update(CONSENTS).where(CONSENTS.c.key_id != "")
            connection.execute(theirs.values(key_id=pseudonyms.key_id))
            row = {"key_id": pseudonyms.key_id, "fingerprint": pseudonyms.fingerprint}
            connection.execute(sa.delete(KEYS))
            connection.execute(sa.insert(KEYS), [row])

        await self._db.write(work)


def _renewed(connection: Connection, renewal: Renewal) -> Iterator[tuple[str, int]]:
    def text(found: re.Match[str]) -> str:
        return renewal.of(found[0])

    def known(value: str) -> str:
        return renewal.of(value) if value else value

    yield "events", _by_row(connection, EVENTS, {"actor": known, "session": known})
    yield "answers", _by_row(connection, ANSWERS, {"actor": known})
    # Hashes of erased shoppers have no key.
    hashed, named = CONSENTS.c.key_id == "", CONSENTS.c.key_id != ""
    consents = _by_row(connection, CONSENTS, {"actor": known}, named)
    hashes = {"actor": lambda value: renewal.of_hash(value) if value else value}
    yield "consents", consents + _by_row(connection, CONSENTS, hashes, hashed)
    yield "erasures", _by_value(connection, ERASURES, "person", renewal.of_hash)
    yield "attributes", _by_value(connection, ATTRIBUTES, "actor", renewal.of)
    yield "aliases", _by_value(connection, ALIASES, "visitor", renewal.of)
    _by_value(connection, ALIASES, "actor", renewal.of)
    yield "count_units", _by_value(connection, COUNT_UNITS, "actor", renewal.of)
    units = {"units": lambda value: _PSEUDONYM.sub(text, value)}
    yield "count_queue", _by_row(connection, COUNT_QUEUE, units)
    yield "jobs", _by_row(connection, JOBS, {"params": lambda value: _params(value, renewal)})


def _params(text: str, renewal: Renewal) -> str:
    """Return a job's parameters with renewed pseudonyms: those that are named as such."""
    params = json.loads(text or "{}")
    for name in ("actor", "actors"):
        given = params.get(name)
        if isinstance(given, str) and _PSEUDONYM.fullmatch(given):
            params[name] = renewal.of(given)
        elif isinstance(given, list):
            params[name] = [renewal.of(one) for one in given]
    return json.dumps(params)


def _by_row(
    connection: Connection,
    table: sa.Table,
    change: Mapping[str, Callable[[str], str]],
    *where: sa.ColumnElement[bool],
) -> int:
    """Change columns that are no part of the primary key. Return the number of rows."""
    keys = list(table.primary_key.columns)
    key, count, after = sa.tuple_(*keys), 0, None
    columns = [table.c[name] for name in change]
    statement = sa.select(*keys, *columns).where(*where).order_by(*keys).limit(BATCH)
    update = (
        sa.update(table)
        .where(*(one == sa.bindparam(f"k_{one.name}") for one in keys))
        .values({name: sa.bindparam(f"v_{name}") for name in change})
    )
    while True:
        more = statement if after is None else statement.where(key > after)
        rows = connection.execute(more).all()
        if not rows:
            return count
        changed = [
            {f"k_{one.name}": value for one, value in zip(keys, row, strict=False)}
            | {
                f"v_{name}": renew(value)
                for (name, renew), value in zip(change.items(), row[len(keys) :], strict=True)
            }
            for row in rows
        ]
        connection.execute(update, changed)
        count, after = count + len(rows), tuple(rows[-1][: len(keys)])


def _by_value(
    connection: Connection, table: sa.Table, name: str, renew: Callable[[str], str]
) -> int:
    """Change all values of a column, which an index leads to. Return their number."""
    column, catalog = table.c[name], table.c.catalog_id
    found = connection.execute(sa.select(catalog, column).distinct()).all()
    update = (
        sa.update(table)
        .where(catalog == sa.bindparam("catalog"), column == sa.bindparam("old"))
        .values({name: sa.bindparam("new")})
    )
    for some in _batches(found):
        connection.execute(
            update, [{"catalog": one[0], "old": one[1], "new": renew(one[1])} for one in some]
        )
    return len(found)


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    given = list(rows)
    return (given[start : start + BATCH] for start in range(0, len(given), BATCH))
