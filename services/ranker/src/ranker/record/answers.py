"""Records of answers in SQL. Their content is opaque here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.record.aliases import gate, owners
from ranker.record.tables import ANSWERS
from servicekit.sql import Database

SWEEP = 500
"""Expired records that go with each write: more than a write adds, so they never pile up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it is kept."""

    catalog_id: str
    answer_id: str
    actor: str
    """Pseudonym of the shopper; empty = nobody in particular."""
    key_id: str
    content: bytes
    """Without any id of a person."""
    expires_micros: int
    """When it may go, microseconds since 1970 (UTC)."""
    answer_micros: int = 0
    """When it was served, microseconds since 1970 (UTC); 0 = not said: it is in no count."""
    model_version: str = ""
    scene: str = ""
    arms: str = ""
    """Names of arms, sorted, one a line."""


class AnswerLog:
    """Answers of all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def write(self, answers: Sequence[Answer], now_micros: int) -> int:
        """Keep answers; the first content of an id stays. Returns how many were new."""
        try:
            return await self._db.write(lambda c: _write(c, answers, now_micros))
        except sa.exc.IntegrityError:  # PostgreSQL: another process wrote one of them meanwhile
            return await self._db.write(lambda c: _write(c, answers, now_micros))

    async def read(self, catalog_id: str, answer_id: str, now_micros: int) -> bytes | None:
        """The content; None when there is none or it has expired."""
        t = ANSWERS.c
        statement = sa.select(t.content).where(
            t.catalog_id == catalog_id, t.answer_id == answer_id, t.expires_micros > now_micros
        )
        return await self._db.read(lambda connection: connection.execute(statement).scalar())

    async def sweep(self, now_micros: int, limit: int) -> int:
        """Delete records that expired by now, at most `limit`; how many."""
        return await self._db.write(lambda connection: _sweep(connection, now_micros, limit))


def _sweep(connection: Connection, now_micros: int, limit: int) -> int:
    t = ANSWERS.c
    expired = (
        sa.select(t.catalog_id, t.answer_id).where(t.expires_micros <= now_micros).limit(limit)
    )
    keys = sa.tuple_(t.catalog_id, t.answer_id)
    return connection.execute(sa.delete(ANSWERS).where(keys.in_(expired))).rowcount


def _write(connection: Connection, answers: Sequence[Answer], now_micros: int) -> int:
    t = ANSWERS.c
    _sweep(connection, now_micros, SWEEP)
    ids = [answer.answer_id for answer in answers]
    found = sa.select(t.catalog_id, t.answer_id).where(t.answer_id.in_(ids))
    known = {(row.catalog_id, row.answer_id) for row in connection.execute(found)}
    rows = []
    for answer in answers:
        key = (answer.catalog_id, answer.answer_id)
        if key not in known:
            known.add(key)
            rows.append({name: getattr(answer, name) for name in ANSWERS.c.keys()})  # noqa: SIM118
    if rows:
        _to_owners(connection, rows)
        connection.execute(sa.insert(ANSWERS), rows)
    return len(rows)


def _to_owners(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """File what belongs to merged visitors under the users they are."""
    for catalog_id in sorted({row["catalog_id"] for row in rows}):
        gate(connection, catalog_id, alone=False)
        theirs = [row for row in rows if row["catalog_id"] == catalog_id]
        users = owners(connection, catalog_id, (row["actor"] for row in theirs))
        for row in theirs:
            row["actor"] = users.get(row["actor"], row["actor"])
