"""Index generations: what they should hold, what they lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.model import (
    Freshness,
    Generation,
    GenerationState,
    IndexRow,
)
from retriever.record.parts import (
    indexed,
    pending_of,
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


def live_generations(connection: Connection, catalog_id: str) -> list[Generation]:
    c = generations.c
    query = (
        sa.select(generations)
        .where(c.catalog_id == catalog_id, c.state != GenerationState.DROPPED)
        .order_by(c.created, c.name)
    )
    return [_to_generation(row) for row in connection.execute(query)]


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


def read_freshness(connection: Connection, generation: Generation) -> Freshness:
    head = connection.execute(
        sa.select(sequences.c.seq, sequences.c.time).where(
            sequences.c.catalog_id == generation.catalog_id
        )
    ).first()
    o, p = outbox.c, pending.c
    unapplied = connection.execute(
        sa.select(sa.func.min(o.write_seq), sa.func.min(o.time)).where(
            o.catalog_id == generation.catalog_id, o.seq > generation.applied_seq
        )
    ).one()
    waiting = connection.execute(
        sa.select(sa.func.min(p.write_seq), sa.func.min(p.write_time), sa.func.count()).where(
            pending_of(generation), ~p.failed
        )
    ).one()
    newest, newest_time = (0, 0) if head is None else (int(head.seq), int(head.time))
    open_seqs = [int(row[0]) for row in (unapplied, waiting) if row[0] is not None]
    open_times = [int(row[1]) for row in (unapplied, waiting) if row[1] is not None]
    if not open_seqs:
        return Freshness(newest, newest, newest_time, 0, 0)
    oldest = min(open_times)
    return Freshness(
        seq=min(open_seqs) - 1,
        head=newest,
        time=min(generation.applied_time, oldest),
        oldest_open=oldest,
        pending=int(waiting[2]),
    )


def read_index_rows(
    connection: Connection, generation: Generation, product_ids: Sequence[str]
) -> Iterator[IndexRow]:
    photo = product_images.c
    query = (
        sa.select(
            photo.row_id,
            photo.image_id,
            vectors.c.data,
            vectors.c.seq.label("vector_seq"),
            products,
        )
        .select_from(indexed(generation).join(products, same(product_images, products)))
        .where(photo.catalog_id == generation.catalog_id, photo.product_id.in_(product_ids))
    )
    for row in connection.execute(query):
        yield IndexRow(
            row_id=row.row_id,
            seq=max(row.seq, row.vector_seq),
            product_id=row.product_id,
            image_id=row.image_id,
            facts=to_facts(row),
            vector=to_floats(row.data),
        )
