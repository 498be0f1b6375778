"""Index generations: what they should hold, what they lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.model import (
    MAX_ATTEMPTS,
    OUTAGES,
    Freshness,
    Generation,
    GenerationState,
    IndexRow,
)
from retriever.record.parts import (
    among,
    look_up,
    on,
    same,
    to_floats,
    vector_of,
)
from retriever.record.products import to_facts
from retriever.record.tables import (
    generations,
    outbox,
    pending,
    product_images,
    products,
    sequences,
    vectors,
)

_LIVE = (
    sa.select(generations)
    .where(
        generations.c.catalog_id == sa.bindparam("catalog_id"),
        generations.c.state != GenerationState.DROPPED,
    )
    .order_by(generations.c.created, generations.c.name)
)


def live_generations(connection: Connection, catalog_id: str) -> list[Generation]:
    rows = connection.execute(_LIVE, {"catalog_id": catalog_id})
    return [_to_generation(row) for row in rows]


def first_generation(rows: sa.CursorResult[Any]) -> Generation | None:
    row = rows.first()
    return None if row is None else _to_generation(row)


def _to_generation(row: sa.Row[Any]) -> Generation:
    values = dict(row._mapping)
    return Generation(**{**values, "state": GenerationState(values["state"])})


def generation_values(generation: Generation) -> dict[str, Any]:
    return {column.name: getattr(generation, column.name) for column in generations.columns}


def want_all(connection: Connection, target: Generation) -> None:
    """Make every photo of the catalog pending that lacks a vector of a generation's version."""
    photo, held = product_images.c, vectors.c
    constants = {
        "space": target.space,
        "space_version": target.space_version,
        "attempts": 0,
        "next_attempt": 0,
        "reason": "",
        "failed": False,
    }
    lacking = (
        sa.select(
            photo.catalog_id,
            photo.image_id,
            sa.func.min(products.c.seq),
            sa.func.min(products.c.update_time),
            *(sa.literal(value) for value in constants.values()),
        )
        .select_from(
            product_images.join(products, same(product_images, products)).outerjoin(
                vectors, vector_of(target)
            )
        )
        .where(photo.catalog_id == target.catalog_id, held.image_id.is_(None))
        .group_by(photo.catalog_id, photo.image_id)
    )
    names = ["catalog_id", "image_id", "write_seq", "write_time", *constants]
    connection.execute(sa.insert(pending).from_select(names, lacking))


def _freshness_statement() -> sa.Select[Any]:
    """One statement: what leaves `pending` for the outbox meanwhile must not be missed in both."""
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
    lacking = sa.and_(
        p.catalog_id == catalog,
        p.space == sa.bindparam("space"),
        p.space_version == sa.bindparam("space_version"),
        ~p.failed,
    )
    # By the index, and not the smallest of all: a large import leaves 100,000 photos waiting.
    waiting = (
        sa.select(p.write_seq.label("seq"), p.write_time.label("time"))
        .where(lacking, _holds_up())
        .order_by(p.write_seq)
        .limit(1)
        .subquery()
    )
    number = sa.select(sa.func.count()).where(lacking).scalar_subquery()
    return sa.select(head, unapplied, waiting, number).select_from(
        head.join(unapplied, sa.true()).outerjoin(waiting, sa.true())
    )


def _holds_up() -> sa.ColumnElement[bool]:
    """Whether the writes of a pending photo and after it count as not held.

    Not when the photo fails for a reason of its own: it may be tried for a quarter of an hour, and
    every search that is to see a write would wait for it. An outage that lasts through so many
    attempts is taken for the photo's own too: it may be what brings the embedder down.
    """
    p = pending.c
    outage = sa.and_(p.reason.in_(OUTAGES), p.attempts < MAX_ATTEMPTS)
    return sa.or_(p.attempts == 0, outage)


_FRESHNESS = _freshness_statement()
"""Built once: every search asks it, and building took longer than answering."""


def read_freshness(connection: Connection, generation: Generation) -> Freshness:
    values = {
        "catalog_id": generation.catalog_id,
        "applied_seq": generation.applied_seq,
        "space": generation.space,
        "space_version": generation.space_version,
    }
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


_INDEX_ROWS = (
    sa.select(
        product_images.c.row_id,
        product_images.c.image_id,
        vectors.c.data,
        vectors.c.seq.label("vector_seq"),
        products,
    )
    .select_from(
        product_images.join(
            vectors,
            on(
                vectors,
                catalog_id=product_images.c.catalog_id,
                image_id=product_images.c.image_id,
                space=sa.bindparam("space"),
                space_version=sa.bindparam("space_version"),
            ),
        ).join(products, same(product_images, products))
    )
    .where(among(product_images, "product_id"))
)


def read_index_rows(
    connection: Connection, generation: Generation, product_ids: Sequence[str]
) -> Iterator[IndexRow]:
    of = {
        "catalog_id": generation.catalog_id,
        "space": generation.space,
        "space_version": generation.space_version,
    }
    for row in look_up(connection, _INDEX_ROWS, product_ids, of):
        yield IndexRow(
            row_id=row.row_id,
            seq=max(row.seq, row.vector_seq),
            product_id=row.product_id,
            image_id=row.image_id,
            facts=to_facts(row),
            vector=to_floats(row.data),
        )
