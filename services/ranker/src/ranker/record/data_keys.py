"""Data keys in SQL, and the texts and vectors that are sealed with them."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.record import encrypted_columns
from ranker.record.rows import TableRecord
from ranker.record.tables import ANSWERS, ATTRIBUTES, DATA_KEYS, EVENTS
from servicekit.keys.wrapping import KeyWrapper
from servicekit.sql.locks import lock

KEYS_LOCK = "data keys"
KEY_BYTES = encrypted_columns.KEY_BITS // 8
Place = tuple[str, ...]
"""Primary key of the last visited row; empty at the start."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key without its content."""

    key_id: str
    wrapped_with: str
    """Id of the wrapping key."""
    created_micros: int
    complete: bool
    """True if nothing is sealed with an older key."""


class DataKeyRecord(TableRecord):
    async def all(self) -> Sequence[DataKey]:
        """Return all data keys, newest first."""
        t = DATA_KEYS.c
        newest = sa.select(t.key_id, t.wrapped_with, t.created_micros, t.complete).order_by(
            t.created_micros.desc(), t.key_id
        )
        rows = await self._db.read(lambda connection: connection.execute(newest).all())
        return [DataKey(*row) for row in rows]

    async def add(self, wrapper: KeyWrapper, now_micros: int) -> str:
        """Create a data key, which seals everything from now on, and return its id. Raise
        UnwrapFailed."""
        key_id = secrets.token_hex(8)
        row = {
            "key_id": key_id,
            "wrapped": wrapper.wrap(os.urandom(KEY_BYTES)),
            "wrapped_with": wrapper.current,
            "created_micros": now_micros,
            "complete": False,
        }
        await self._db.write(lambda connection: connection.execute(sa.insert(DATA_KEYS), [row]))
        return key_id

    async def check(self, wrapper: KeyWrapper) -> None:
        """Unwrap all data keys. Raise UnwrapFailed."""
        rows = await self._db.read(lambda c: c.execute(sa.select(DATA_KEYS)).all())
        for row in rows:
            wrapper.unwrap(row.wrapped, row.wrapped_with)

    async def wrap_again(self, key_id: str, wrapper: KeyWrapper) -> None:
        """Wrap a data key with the current wrapping key. Raise UnwrapFailed."""
        t = DATA_KEYS.c

        def work(connection: Connection) -> None:
            lock(connection, KEYS_LOCK)
            row = connection.execute(sa.select(DATA_KEYS).where(t.key_id == key_id)).one()
            key = wrapper.unwrap(row.wrapped, row.wrapped_with)
            changed = {"wrapped": wrapper.wrap(key), "wrapped_with": wrapper.current}
            connection.execute(sa.update(DATA_KEYS).where(t.key_id == key_id).values(changed))

        await self._db.write(work)

    async def finish(self, key_id: str) -> None:
        """Delete all other data keys, which nothing needs."""
        t = DATA_KEYS.c

        def work(connection: Connection) -> None:
            lock(connection, KEYS_LOCK)
            connection.execute(sa.delete(DATA_KEYS).where(t.key_id != key_id))
            connection.execute(sa.update(DATA_KEYS).where(t.key_id == key_id).values(complete=True))

        await self._db.write(work)

    async def seal_queries(self, key_id: str, after: int, limit: int) -> tuple[int, int]:
        """Seal words of searches that this data key has not sealed, of at most `limit` events after
        this number. Return the last event's number and their count."""
        t = EVENTS.c

        def work(connection: Connection) -> tuple[int, int]:
            lock(connection, KEYS_LOCK)
            old = sa.select(t.sequence, t.catalog_id, t.query).where(
                t.sequence > after, t.query != "", _not_by(t.query, key_id)
            )
            rows = connection.execute(old.order_by(t.sequence).limit(limit)).all()
            for sequence, catalog_id, query in rows:
                about = encrypted_columns.query_of(catalog_id)
                text = encrypted_columns.seal(
                    connection, about, encrypted_columns.unseal(connection, about, query)
                )
                # Words that were deleted meanwhile stay so.
                mine = sa.update(EVENTS).where(t.sequence == sequence, t.query == query)
                connection.execute(mine.values(query=text))
            return (rows[-1].sequence if rows else after), len(rows)

        return await self._db.write(work)

    async def seal_attributes(self, key_id: str, after: Place, limit: int) -> tuple[Place, int]:
        """Seal values of attributes that this data key has not sealed, as `seal_queries` does."""
        t = ATTRIBUTES.c
        key = sa.tuple_(t.catalog_id, t.actor, t.key)

        def work(connection: Connection) -> tuple[Place, int]:
            lock(connection, KEYS_LOCK)
            old = sa.select(t.catalog_id, t.actor, t.key, t.value).where(_not_by(t.value, key_id))
            if after:
                old = old.where(key > after)
            rows = connection.execute(old.order_by(*key).limit(limit)).all()
            for *place, value in rows:
                about = encrypted_columns.value_of(place[0])
                text = encrypted_columns.seal(
                    connection, about, encrypted_columns.unseal(connection, about, value)
                )
                # A value that was replaced meanwhile stays.
                mine = sa.update(ATTRIBUTES).where(key == tuple(place), t.value == value)
                connection.execute(mine.values(value=text))
            return (tuple(rows[-1][:3]) if rows else after), len(rows)

        return await self._db.write(work)

    async def seal_photos(self, key_id: str, after: Place, limit: int) -> tuple[Place, int]:
        """Seal vectors of photos that this data key has not sealed, as `seal_queries` does."""
        t = ANSWERS.c
        key = sa.tuple_(t.catalog_id, t.answer_id)

        def work(connection: Connection) -> tuple[Place, int]:
            lock(connection, KEYS_LOCK)
            old = sa.select(t.catalog_id, t.answer_id, t.photo).where(
                t.photo_space != "", _not_by(t.photo, key_id)
            )
            if after:
                old = old.where(key > after)
            rows = connection.execute(old.order_by(*key).limit(limit)).all()
            for *place, photo in rows:
                about = encrypted_columns.photo_of(place[0])
                vector = encrypted_columns.unseal_vector(connection, about, photo)
                # A vector that was deleted meanwhile stays so.
                mine = sa.update(ANSWERS).where(key == tuple(place), t.photo == photo)
                changed = encrypted_columns.seal_vector(connection, about, vector)
                connection.execute(mine.values(photo=changed))
            return (tuple(rows[-1][:2]) if rows else after), len(rows)

        return await self._db.write(work)


def _not_by(column: sa.ColumnElement[Any], key_id: str) -> sa.ColumnElement[bool]:
    start = encrypted_columns.prefix(key_id)
    is_text = isinstance(column.type, sa.Text)
    return sa.func.substr(column, 1, len(start)) != (start if is_text else start.encode())
