"""Lag of a generation behind the record, and counts of the record."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.embedding import MAX_ATTEMPTS, OUTAGES
from retriever.domain.generation import Counts, Freshness, Generation, GenerationSnapshot
from retriever.record.generations import read_generation
from retriever.record.statements import BOUND_VERSION, pending_of, version_of
from retriever.record.tables import outbox, pending, product_images, products, sequences
from servicekit.sql.conditions import on


def _freshness_statement() -> sa.Select[Any]:
    """Return a single statement, so that an item that moves from `pending` to the outbox is not
    missed in both."""
    s, o, p = sequences.c, outbox.c, pending.c
    catalog: sa.BindParameter[str] = sa.bindparam("catalog_id")
    head = (
        sa.select(sa.func.max(s.seq).label("seq"), sa.func.max(s.time).label("time"))
        .where(s.catalog_id == catalog)
        .subquery()
    )
    unapplied = (
        sa.select(sa.func.min(o.write_seq).label("seq"), sa.func.min(o.time).label("time"))
        .where(o.catalog_id == catalog, o.seq > sa.bindparam("applied_seq"))
        .subquery()
    )
    lacking = sa.and_(on(pending, catalog_id=catalog, **BOUND_VERSION), ~p.failed)
    # One index lookup instead of a minimum over all rows: a large import leaves 100,000 photos
    # pending.
    waiting = (
        sa.select(p.write_seq.label("seq"), p.write_time.label("time"))
        .where(lacking, holds_up())
        .order_by(p.write_seq)
        .limit(1)
        .subquery()
    )
    number = sa.select(sa.func.count()).where(lacking).scalar_subquery()
    return sa.select(head, unapplied, waiting, number).select_from(
        head.join(unapplied, sa.true()).outerjoin(waiting, sa.true())
    )


def holds_up() -> sa.ColumnElement[bool]:
    """Return the condition that a pending photo delays visibility of its write and later ones.

    Photos that fail by themselves are excluded: they may be retried for 15 minutes, and searches
    that wait for a write would wait as long. A photo that fails during a long outage is excluded
    after as many attempts, since the photo itself may crash the embedder.
    """
    p = pending.c
    outage = sa.and_(p.reason.in_(OUTAGES), p.attempts < MAX_ATTEMPTS)
    return sa.or_(p.attempts == 0, outage)


_FRESHNESS = _freshness_statement()
"""Built once, since every search executes it, and building took longer than executing."""


def read_freshness(connection: Connection, generation: Generation) -> Freshness:
    """Return the lag of a generation behind the record."""
    values = {**version_of(generation), "applied_seq": generation.applied_seq}
    seq, time, *opened, waiting = connection.execute(_FRESHNESS, values).one()
    newest, newest_time = int(seq or 0), int(time or 0)
    open_seqs = [int(value) for value in opened[::2] if value is not None]
    open_times = [int(value) for value in opened[1::2] if value is not None]
    if not open_seqs:
        return Freshness(newest, newest, newest_time, 0, int(waiting))
    oldest = min(open_times)
    return Freshness(
        seq=min(open_seqs) - 1,
        head=newest,
        time=min(generation.applied_time, oldest),
        oldest_open=oldest,
        pending=int(waiting),
    )


FOREVER = 2**62
"""Greater than the number of any outbox entry."""


def read_generation_snapshot(
    connection: Connection, catalog_id: str, space: str, name: str = ""
) -> GenerationSnapshot | None:
    """Return a generation with its freshness, both of one snapshot."""
    generation = read_generation(connection, catalog_id, space, name)
    if generation is None:
        return None
    whole = replace(generation, applied_seq=FOREVER, applied_time=FOREVER)
    freshness = read_freshness(connection, generation)
    return GenerationSnapshot(generation, freshness, read_freshness(connection, whole))


def read_counts(connection: Connection, catalog_id: str, generation: Generation | None) -> Counts:
    """Return the record's counts, and the number of items that a generation lacks; without a
    generation, all of them."""

    def number(table: sa.Table, *which: sa.ColumnElement[bool]) -> int:
        mine = sa.select(sa.func.count()).where(table.c.catalog_id == catalog_id, *which)
        return int(connection.execute(mine).scalar_one())

    photos = number(product_images)
    if generation is None:
        waiting, failed, after = photos, 0, 0
    else:
        of = pending_of(generation)
        waiting = number(pending, of, ~pending.c.failed)
        failed = number(pending, of, pending.c.failed)
        after = generation.applied_seq
    return Counts(
        products=number(products),
        images=photos,
        pending=waiting,
        failed=failed,
        outbox=number(outbox, outbox.c.seq > after),
    )
