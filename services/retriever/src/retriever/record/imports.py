"""Imports: the outcome of each row, and the result of closing.

A row is decided once. Its outcome is stored while the import is open, so that a row that is sent
again gets the same answer. A row that fails temporarily (for example, a full disk) stays undecided.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain import errors
from retriever.domain.imports import Closing, ImportMode, ImportProgress, ImportRow
from retriever.domain.product import ProductWrite, Stored
from retriever.record.product_batch import Batch
from retriever.record.queueing import queue_up
from retriever.record.session import Session
from retriever.record.tables import import_rows, imports, products
from servicekit.errors import BY_CODE, Code, FieldViolation, ServiceError
from servicekit.sql.conditions import chunks
from servicekit.sql.resources import Rows

PASSING = frozenset(
    {
        Code.UNAVAILABLE,
        Code.RESOURCE_EXHAUSTED,
        Code.DEADLINE_EXCEEDED,
        Code.INTERNAL,
        Code.UNKNOWN,
        Code.CANCELLED,
        Code.DATA_LOSS,
    }
)
"""Temporary errors: the row stays undecided."""
MOST_VIOLATIONS = 20
MOST_TEXT = 300
"""Maximum characters of one text of a stored error."""
FOLLOWING = 1_000
"""Decided rows read by one statement."""

_PROGRESS = Rows(imports, ImportProgress)
_FOLLOWING = (
    sa.select(import_rows.c.row_number)
    .where(
        import_rows.c.catalog_id == sa.bindparam("catalog_id"),
        import_rows.c.import_id == sa.bindparam("import_id"),
        import_rows.c.row_number > sa.bindparam("done"),
    )
    .order_by(import_rows.c.row_number)
    .limit(FOLLOWING)
)


def open_import(  # noqa: PLR0917 - a call of the record, with the time
    connection: Connection,
    now: int,
    catalog_id: str,
    import_id: str,
    mode: ImportMode,
    active_seconds: float,
) -> ImportProgress:
    """Begin an import unless it is known; return its progress. Raises ImportModeMismatch.

    Another open import that took rows within `active_seconds` counts as in progress.
    """
    session = Session(connection, catalog_id, now)
    known = _find(connection, catalog_id, import_id)
    if known is not None:
        progress = _PROGRESS.of(known)
        if progress.mode is not mode:
            raise errors.ImportModeMismatch(progress.mode)
        return progress
    c, opened, active = imports.c, session.take()[0], now - int(active_seconds * 1e6)
    under_way = connection.execute(
        sa.select(sa.func.min(c.opened_seq)).where(
            c.catalog_id == catalog_id, ~c.closed, c.active_time >= active
        )
    ).scalar()
    row = {
        "catalog_id": catalog_id,
        "import_id": import_id,
        "mode": mode,
        "rows_done": 0,
        "stored_count": 0,
        "refused_count": 0,
        "closed": False,
        "opened_seq": opened,
        "before_seq": opened if under_way is None else under_way,
        "create_time": now,
        "active_time": now,
        "delete_count": 0,
        "sample": "[]",
    }
    connection.execute(sa.insert(imports).values(row))
    return ImportProgress(import_id, mode, 0, 0, 0, False)


def open_state(connection: Connection, catalog_id: str, import_id: str) -> sa.Row[Any]:
    """Return the row of an open import. Raises ImportNotFound, ImportClosed."""
    known = _find(connection, catalog_id, import_id)
    if known is None:
        raise errors.ImportNotFound
    if known.closed:
        raise errors.ImportClosed
    return known


def read_decided(
    connection: Connection, catalog_id: str, import_id: str, numbers: Sequence[int]
) -> dict[int, Stored | ServiceError]:
    """Return the outcomes of decided rows."""
    c = import_rows.c
    query = sa.select(c.row_number, c.product_id, c.stored, c.outcome).where(
        *_of(import_rows, catalog_id, import_id), c.row_number.in_(numbers)
    )
    return {row.row_number: _outcome(row) for row in connection.execute(query)}


def decided_of(
    connection: Connection, catalog_id: str, import_id: str, numbers: Sequence[int]
) -> frozenset[int]:
    """Return the rows that were decided. Raises ImportNotFound, ImportClosed."""
    open_state(connection, catalog_id, import_id)
    return frozenset(read_decided(connection, catalog_id, import_id, numbers))


def write_rows(
    connection: Connection, now: int, catalog_id: str, import_id: str, rows: Sequence[ImportRow]
) -> tuple[list[Stored | ServiceError], ImportProgress, int]:
    """Decide rows, ascending by number. Return their outcomes (the stored ones for rows decided
    before), the import's progress and the newest commit. Raises ImportNotFound, ImportClosed."""
    session = Session(connection, catalog_id, now)
    known = open_state(connection, catalog_id, import_id)
    decided = read_decided(connection, catalog_id, import_id, [row.number for row in rows])
    fresh = [row for row in rows if row.number not in decided]
    taken = _rows_of(connection, catalog_id, import_id, [row.product_id for row in fresh])
    given = (row.write for row in fresh)
    batch = Batch(session, [write.content for write in given if isinstance(write, ProductWrite)])
    kept: list[dict[str, Any]] = []
    for row in fresh:
        outcome = decided[row.number] = _decide(batch, row, taken)
        if isinstance(outcome, Stored):
            taken[row.product_id] = row.number
        elif row.product_id:
            batch.touch(row.product_id)  # part of the import: closing must not delete it
        if isinstance(outcome, Stored) or outcome.code not in PASSING:
            kept.append(_kept(catalog_id, import_id, row, outcome))
    batch.save()
    if kept:
        connection.execute(sa.insert(import_rows), kept)
    stored = sum(item["stored"] for item in kept)
    counts = {
        "rows_done": _rows_done(connection, catalog_id, import_id, known.rows_done),
        "stored_count": known.stored_count + stored,
        "refused_count": known.refused_count + len(kept) - stored,
    }
    connection.execute(
        sa.update(imports)
        .where(*_of(imports, catalog_id, import_id))
        .values(**counts, active_time=session.now)
    )
    progress = replace(_PROGRESS.of(known), **counts)
    return [decided[row.number] for row in rows], progress, session.head


def _decide(batch: Batch, row: ImportRow, taken: dict[str, int]) -> Stored | ServiceError:
    """Store a row's product, unless an earlier row of the import stored one of that id."""
    if row.write is None:
        raise errors.ImportClosed  # the outcome was deleted: the import was closed meanwhile
    if isinstance(row.write, ServiceError):
        return _bounded(row.write)
    if row.product_id in taken:
        description = f"is also the id of row {taken[row.product_id]}"
        return errors.ProductInvalid.at(f"{row.write.path}.product_id", description)
    outcome = batch.write(row.write)
    return outcome if isinstance(outcome, Stored) else _bounded(outcome)


def _rows_of(
    connection: Connection, catalog_id: str, import_id: str, product_ids: Sequence[str]
) -> dict[str, int]:
    """Return the rows of the import that stored these products."""
    c = import_rows.c
    found: dict[str, int] = {}
    for chunk in chunks(product_ids):
        query = sa.select(c.product_id, c.row_number).where(
            *_of(import_rows, catalog_id, import_id), c.product_id.in_(chunk), c.stored
        )
        found.update((row.product_id, row.row_number) for row in connection.execute(query))
    return found


def _rows_done(connection: Connection, catalog_id: str, import_id: str, done: int) -> int:
    """Return the last row before the first undecided one. All rows up to `done` are decided."""
    while True:
        values = {"catalog_id": catalog_id, "import_id": import_id, "done": done}
        following = connection.execute(_FOLLOWING, values).scalars().all()
        for number in following:
            if number != done + 1:
                return done
            done = number
        if len(following) < FOLLOWING:
            return done


def close_import(
    connection: Connection,
    now: int,
    catalog_id: str,
    import_id: str,
    *,
    share: float,
    dry_run: bool,
    sample: int,
) -> Closing:
    """Close an import unless `dry_run`; a closed one gives the same answer again.

    Raises ImportNotFound, and ImportDeletesTooMuch beyond `share` of the catalog.
    """
    Session(connection, catalog_id, now)  # blocks the catalog's writers
    known = _find(connection, catalog_id, import_id)
    if known is None:
        raise errors.ImportNotFound
    progress = _PROGRESS.of(known)
    if progress.closed:
        shown = tuple(json.loads(known.sample))
        return Closing(progress, known.delete_count, shown, known.before_seq)
    count, ids = 0, list[str]()
    if progress.mode is ImportMode.FULL:
        c = products.c
        left = (c.catalog_id == catalog_id, c.touched < known.before_seq)
        number = sa.select(sa.func.count()).select_from(products)
        count = int(connection.execute(number.where(*left)).scalar_one())
        held = int(connection.execute(number.where(c.catalog_id == catalog_id)).scalar_one())
        if not dry_run and count > share * held:
            raise errors.ImportDeletesTooMuch(count, held, share)
        first = sa.select(c.product_id).where(*left).order_by(c.touched, c.product_id)
        ids = list(connection.execute(first.limit(sample)).scalars())
    if not dry_run:
        values = {
            "closed": True,
            "delete_count": count,
            "sample": json.dumps(ids, ensure_ascii=False),
        }
        connection.execute(
            sa.update(imports).where(*_of(imports, catalog_id, import_id)).values(values)
        )
        known = _find(connection, catalog_id, import_id) or known
    return Closing(_PROGRESS.of(known), count, tuple(ids), known.before_seq)


def rejected_rows(
    connection: Connection, catalog_id: str, limit: int
) -> list[tuple[str, int, str, ServiceError]]:
    """Return the newest rejected rows of open imports: import, number, product id and reason."""
    c, of = import_rows.c, imports.c
    query = (
        sa.select(c.import_id, c.row_number, c.product_id, c.stored, c.outcome)
        .join(imports)
        .where(c.catalog_id == catalog_id, ~c.stored, ~of.closed)
        .order_by(of.active_time.desc(), c.import_id, c.row_number.desc())
        .limit(limit)
    )
    return [
        (row.import_id, row.row_number, row.product_id, outcome)
        for row in connection.execute(query)
        if isinstance(outcome := _outcome(row), ServiceError)
    ]


def drop_rows(connection: Connection, catalog_id: str, import_id: str, limit: int) -> int:
    """Delete up to `limit` outcomes of a closed import; return their number. Raises
    ImportNotFound."""
    queue_up(connection, catalog_id)
    c = import_rows.c
    which = _of(import_rows, catalog_id, import_id)
    some = sa.select(c.row_number).where(*which).order_by(c.row_number).limit(limit)
    return connection.execute(sa.delete(import_rows).where(*which, c.row_number.in_(some))).rowcount


def _find(connection: Connection, catalog_id: str, import_id: str) -> sa.Row[Any] | None:
    query = sa.select(imports).where(*_of(imports, catalog_id, import_id))
    return connection.execute(query).first()


def _of(table: sa.Table, catalog_id: str, import_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.catalog_id == catalog_id, table.c.import_id == import_id


# Outcomes


def _bounded(error: ServiceError) -> ServiceError:
    """Truncate an error, so that a malicious row can't fill the disk with its violations."""
    if error.code in PASSING:
        return error
    return BY_CODE[error.code](
        error.message[:MOST_TEXT],
        reason=error.reason,
        violations=[
            FieldViolation(item.field[:MOST_TEXT], item.description[:MOST_TEXT])
            for item in error.violations[:MOST_VIOLATIONS]
        ],
    )


def _kept(
    catalog_id: str, import_id: str, row: ImportRow, outcome: Stored | ServiceError
) -> dict[str, Any]:
    if isinstance(outcome, Stored):
        parts: list[Any] = [outcome.etag, *outcome.image_ids]
    else:
        wrong = [[item.field, item.description] for item in outcome.violations]
        parts = [outcome.code, outcome.reason, outcome.message, wrong]
    return {
        "catalog_id": catalog_id,
        "import_id": import_id,
        "row_number": row.number,
        "product_id": row.product_id,
        "stored": isinstance(outcome, Stored),
        "outcome": json.dumps(parts, ensure_ascii=False),
    }


def _outcome(row: Any) -> Stored | ServiceError:
    parts = json.loads(row.outcome)
    if row.stored:
        etag, *image_ids = parts
        return Stored(row.product_id, etag, tuple(image_ids))
    code, reason, message, wrong = parts
    violations = [FieldViolation(field, description) for field, description in wrong]
    return BY_CODE[Code(code)](message, reason=reason, violations=violations)
