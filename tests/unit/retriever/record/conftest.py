"""Photos, and a recorder of the record's statements."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from retriever.domain.product import Stored
from retriever.record import Record
from servicekit.sql.database import Database

A, B, C = b"photo a", b"photo b", b"photo c"


@contextlib.contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """Yield the statements that the database gets, each with its values."""
    seen: list[str] = []

    def note(_c: object, _k: object, statement: str, values: Any, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement + "".join(f"\n{value}" for value in values))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def put(record: Record, *writes: object, catalog: str = "default") -> int:
    outcomes, seq = await record.write(catalog, list(writes))  # type: ignore[arg-type]
    assert all(isinstance(outcome, Stored) for outcome in outcomes)
    return seq
