"""Deletion of rows that nothing needs any longer.

Each function deletes up to `limit` rows in one transaction, and returns their number, unless it
says otherwise; 0: there are no more.
"""

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.record.generations import live_generations
from retriever.record.queueing import queue_up
from retriever.record.statements import same
from retriever.record.tables import changes, import_rows, imports, outbox, products, sequences

MOST_DELETED = 10_000
"""Deleted products of a catalog whose deletions are kept. A process that is more of them behind
reads the catalog's columns anew."""
_GONE = ~sa.exists().where(same(products, changes))
"""Changes of products that were deleted."""


def forget_applied(connection: Connection, catalog_id: str, limit: int) -> int:
    """Delete entries of the outbox that every generation has applied: all, if there is none, since
    a new generation is filled from the record."""
    head = queue_up(connection, catalog_id)  # a generation is created before or after this
    live = live_generations(connection, catalog_id)
    applied = min((each.applied_seq for each in live), default=head)
    c = outbox.c
    old = sa.select(c.seq).where(c.catalog_id == catalog_id, c.seq <= applied)
    seqs = connection.execute(old.order_by(c.seq).limit(limit)).scalars().all()
    if seqs:
        mine = c.catalog_id == catalog_id, c.seq <= seqs[-1]
        connection.execute(sa.delete(outbox).where(*mine))
    return len(seqs)


def read_forgettable(connection: Connection, catalog_id: str) -> tuple[int, int]:
    """Return from which commit on deletions of products are known, and up to which they may be
    forgotten: those beyond the newest MOST_DELETED."""
    c = changes.c
    known = sa.select(sequences.c.known_from).where(sequences.c.catalog_id == catalog_id)
    deleted = sa.select(c.seq).where(c.catalog_id == catalog_id, _GONE)
    oldest = deleted.order_by(c.seq.desc()).offset(MOST_DELETED).limit(1)
    known_from, up_to = (connection.execute(each).scalar() or 0 for each in (known, oldest))
    return known_from, up_to


def forget_deleted(
    connection: Connection, catalog_id: str, after: int, up_to: int, limit: int
) -> int:
    """Delete what is known of the oldest deletions of products after a commit, up to another, and
    note from which commit on deletions are known. Return the commit to continue after."""
    queue_up(connection, catalog_id)
    c, s = changes.c, sequences.c
    mine = c.catalog_id == catalog_id, c.seq > after, _GONE
    old = sa.select(c.seq).where(*mine, c.seq <= up_to).order_by(c.seq).limit(limit)
    seqs = connection.execute(old).scalars().all()
    if seqs:
        connection.execute(sa.delete(changes).where(*mine, c.seq <= seqs[-1]))
        behind = s.catalog_id == catalog_id, s.known_from < seqs[-1]
        connection.execute(sa.update(sequences).where(*behind).values(known_from=seqs[-1]))
    return seqs[-1] if len(seqs) == limit else up_to


def forget_imports(connection: Connection, catalog_id: str, before: int, limit: int) -> int:
    """Delete imports without rows since a time (microseconds), closed or not, and their rows."""
    queue_up(connection, catalog_id)
    c = imports.c
    old = sa.select(c.import_id).where(c.catalog_id == catalog_id, c.active_time < before)
    import_id = connection.execute(old.limit(1)).scalar()
    if import_id is None:
        return 0
    r = import_rows.c
    of_import = r.catalog_id == catalog_id, r.import_id == import_id
    some = sa.select(r.row_number).where(*of_import).order_by(r.row_number).limit(limit)
    numbers = list(connection.execute(some).scalars())
    connection.execute(sa.delete(import_rows).where(*of_import, r.row_number.in_(numbers)))
    if len(numbers) == limit:
        return limit
    mine = c.catalog_id == catalog_id, c.import_id == import_id
    connection.execute(sa.delete(imports).where(*mine))
    return len(numbers) + 1
