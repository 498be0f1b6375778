"""Index generations: what they should hold, what they lack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.model import (
    MAX_ATTEMPTS,
    OUTAGES,
    Counts,
    Floats,
    Freshness,
    Generation,
    GenerationState,
    IndexKind,
    IndexParameters,
    IndexRow,
    Metric,
    Standing,
    Verification,
)
from retriever.record.parts import (
    BOUND_VERSION,
    PHOTOS_WITH_VECTOR,
    among,
    held_by,
    inserting,
    look_up,
    on,
    pending_of,
    row_source,
    same,
    to_floats,
    vector_of,
    version_of,
)
from retriever.record.products import to_facts
from retriever.record.tables import (
    generations,
    outbox,
    pending,
    product_images,
    product_vectors,
    products,
    sequences,
    vectors,
)

_ALL = (
    sa.select(generations)
    .where(generations.c.catalog_id == sa.bindparam("catalog_id"))
    .order_by(generations.c.created, generations.c.name)
)
_LIVE = _ALL.where(generations.c.state != GenerationState.DROPPED)
_OF_SPACE = sa.select(generations).where(
    generations.c.catalog_id == sa.bindparam("catalog_id"),
    generations.c.space == sa.bindparam("space"),
    generations.c.state != GenerationState.DROPPED,
)
_ACTIVE = _OF_SPACE.where(generations.c.active)
_NAMED = _OF_SPACE.where(generations.c.name == sa.bindparam("name"))


def live_generations(connection: Connection, catalog_id: str) -> list[Generation]:
    rows = connection.execute(_LIVE, {"catalog_id": catalog_id})
    return [_to_generation(row) for row in rows]


def read_generation(
    connection: Connection, catalog_id: str, space: str, name: str = ""
) -> Generation | None:
    """The live generation of this name, or the active one."""
    values = {"catalog_id": catalog_id, "space": space}
    if name:
        return first_generation(connection.execute(_NAMED, {**values, "name": name}))
    return first_generation(connection.execute(_ACTIVE, values))


def first_generation(rows: sa.CursorResult[Any]) -> Generation | None:
    row = rows.first()
    return None if row is None else _to_generation(row)


def _to_generation(row: sa.Row[Any]) -> Generation:
    values = dict(row._mapping)
    values["state"] = GenerationState(values["state"])
    values["parameters"] = _to_parameters(values.pop("metric"), values["parameters"])
    values["verification"] = _to_verification(values["verification"])
    return Generation(**values)


@lru_cache(maxsize=1_000)  # every search reads its generation
def _to_parameters(metric: str, text: str) -> IndexParameters:
    values = json.loads(text)
    if "kind" in values:
        values["kind"] = IndexKind(values["kind"])
    return IndexParameters(Metric(metric), **values)


@lru_cache(maxsize=1_000)
def _to_verification(text: str) -> Verification | None:
    if not text:
        return None
    values = json.loads(text)
    return Verification(**{**values, "findings": tuple(values["findings"])})


def generation_values(generation: Generation) -> dict[str, Any]:
    """A generation as a row."""
    parameters = asdict(generation.parameters)
    values = {each.name: getattr(generation, each.name, None) for each in generations.columns}
    values["metric"] = parameters.pop("metric")
    if not parameters["partitions"]:
        del parameters["partitions"]  # so that a release that knows of none can read it
    values["parameters"] = json.dumps(parameters)
    values["verification"] = verification_text(generation.verification)
    return values


def verification_text(verification: Verification | None) -> str:
    return "" if verification is None else json.dumps(asdict(verification))


def all_generations(connection: Connection, catalog_id: str) -> list[Generation]:
    """Those that were dropped too, oldest first."""
    rows = connection.execute(_ALL, {"catalog_id": catalog_id})
    return [_to_generation(row) for row in rows]


def want(
    connection: Connection,
    target: Generation,
    *,
    after: str = "",
    up_to: str = "",
    backfill: bool = False,
) -> None:
    """Make photos, or products, pending that lack a vector of a generation's version.

    `after`, `up_to`: of those with after < id ≤ up_to; empty = no bound. Those that are pending
    stay as they are. None where callers give the vectors. A product is taken to have a text: that
    it has none is found out when it is to be embedded.
    """
    if target.given:
        return
    item, lacking = _lacking(target)
    constants = {
        "space": target.space,
        "space_version": target.space_version,
        "attempts": 0,
        "next_attempt": 0,
        "reason": "",
        "failed": False,
        "backfill": backfill,
    }
    catalog_id = item.table.c.catalog_id
    columns = (
        catalog_id,
        item,
        sa.func.min(products.c.seq),
        sa.func.min(products.c.update_time),
        *(sa.literal(value) for value in constants.values()),
    )
    lacking = lacking.with_only_columns(*columns).where(catalog_id == target.catalog_id)
    lacking = lacking.group_by(catalog_id, item)
    if after:
        lacking = lacking.where(item > after)
    if up_to:
        lacking = lacking.where(item <= up_to)
    names = ["catalog_id", "image_id", "write_seq", "write_time", *constants]
    statement = inserting(connection.dialect.name, pending).from_select(names, lacking)
    connection.execute(statement.on_conflict_do_nothing())


def item_of(target: Generation) -> sa.Column[str]:
    """What is embedded for a generation: photos, or the texts of products, named by these."""
    return products.c.product_id if target.of_texts else product_images.c.image_id


def _lacking(target: Generation) -> tuple[sa.Column[str], sa.Select[Any]]:
    """`item_of`, and where it lacks a vector of the generation's version."""
    item = item_of(target)
    if target.of_texts:
        held = product_vectors
        joined = products.outerjoin(
            held, sa.and_(same(held, products), held_by(target, held), held.c.digest != "")
        )
        return item, sa.select(item).select_from(joined).where(held.c.product_id.is_(None))
    photos = product_images.join(products, same(product_images, products))
    joined = photos.outerjoin(vectors, vector_of(target))
    return item, sa.select(item).select_from(joined).where(vectors.c.image_id.is_(None))


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
    lacking = sa.and_(on(pending, catalog_id=catalog, **BOUND_VERSION), ~p.failed)
    # By the index, and not the smallest of all: a large import leaves 100,000 photos waiting.
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
"""An outbox entry that no generation ever lacks."""


def read_standing(
    connection: Connection, catalog_id: str, space: str, name: str = ""
) -> Standing | None:
    """A generation with its freshness, of one moment."""
    generation = read_generation(connection, catalog_id, space, name)
    if generation is None:
        return None
    whole = replace(generation, applied_seq=FOREVER, applied_time=FOREVER)
    freshness = read_freshness(connection, generation)
    return Standing(generation, freshness, read_freshness(connection, whole))


def read_counts(connection: Connection, catalog_id: str, generation: Generation | None) -> Counts:
    """How much the record holds, and how much a generation lacks; None = one that lacks all."""

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


_ROWS = sa.select(
    product_images.c.row_id,
    product_images.c.image_id,
    vectors.c.data,
    vectors.c.seq.label("vector_seq"),
    products,
).select_from(PHOTOS_WITH_VECTOR.join(products, same(product_images, products)))
_GIVEN_ROWS = (
    sa.select(
        product_vectors.c.row_id,
        sa.literal("").label("image_id"),
        product_vectors.c.data,
        product_vectors.c.seq.label("vector_seq"),
        products,
    )
    .select_from(product_vectors.join(products, same(product_vectors, products)))
    .where(on(product_vectors, **BOUND_VERSION))
)
"""The same where each product has one vector."""


def _page_of(rows: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    page = rows.where(
        table.c.catalog_id == sa.bindparam("catalog_id"), table.c.row_id > sa.bindparam("after")
    )
    return page.order_by(table.c.row_id).limit(sa.bindparam("most"))


def _newer(vector: sa.Table) -> sa.ColumnElement[bool]:
    after: sa.BindParameter[int] = sa.bindparam("after")
    return sa.or_(products.c.seq > after, vector.c.seq > after)


_INDEX_ROWS = {
    False: _ROWS.where(among(product_images, "product_id"), _newer(vectors)),
    True: _GIVEN_ROWS.where(among(product_vectors, "product_id"), _newer(product_vectors)),
}
_INDEX_PAGE = {
    False: _page_of(_ROWS, product_images),
    True: _page_of(_GIVEN_ROWS, product_vectors),
}
"""By whether a generation is of products."""


def read_index_rows(
    connection: Connection,
    generation: Generation,
    product_ids: Sequence[str],
    *,
    after: int = -1,
) -> list[IndexRow]:
    """What the index should hold of some products, of commits after one alone, in no order."""
    of = {**version_of(generation), "after": after}
    found = look_up(connection, _INDEX_ROWS[generation.of_products], product_ids, of)
    return [_to_index_row(row) for row in found]


def read_index_page(
    connection: Connection, generation: Generation, after: str, limit: int
) -> list[IndexRow]:
    """What the index should hold behind a row id, by row id."""
    values = {**version_of(generation), "after": after, "most": limit}
    page = connection.execute(_INDEX_PAGE[generation.of_products], values)
    return [_to_index_row(row) for row in page]


def read_row_seqs(
    connection: Connection, generation: Generation, low: str, high: str
) -> dict[str, tuple[int, str]]:
    """Row id → (seq, product id) of the rows that the index should hold with low ≤ id < high."""
    row, vector, rows = row_source(generation)
    c = row.c
    query = (
        sa.select(c.row_id, products.c.seq, vector.c.seq, c.product_id)
        .select_from(rows.join(products, same(row, products)))
        .where(
            held_by(generation, vector),
            c.catalog_id == generation.catalog_id,
            c.row_id >= low,
            c.row_id < high,
        )
    )
    return {
        row_id: (max(product_seq, vector_seq), product_id)
        for row_id, product_seq, vector_seq, product_id in connection.execute(query)
    }


def count_rows(connection: Connection, generation: Generation, most: int | None = None) -> int:
    """How many rows the index should hold; of more than `most`, so many."""
    row, vector, rows = row_source(generation)
    mine = row.c.catalog_id == generation.catalog_id, held_by(generation, vector)
    counted = sa.select(row.c.row_id).select_from(rows).where(*mine).limit(most).subquery()
    query = sa.select(sa.func.count()).select_from(counted)
    return int(connection.execute(query).scalar_one())


def read_product_vectors(
    connection: Connection, generation: Generation, product_id: str
) -> list[Floats]:
    """The vectors of a product's photos in order, or its own."""
    row, vector, rows = row_source(generation)
    query = (
        sa.select(vector.c.data)
        .select_from(rows)
        .where(
            held_by(generation, vector),
            row.c.catalog_id == generation.catalog_id,
            row.c.product_id == product_id,
        )
    )
    if not generation.of_products:
        query = query.order_by(product_images.c.position)
    return [to_floats(data) for data in connection.execute(query).scalars()]


def _to_index_row(row: sa.Row[Any]) -> IndexRow:
    return IndexRow(
        row_id=row.row_id,
        seq=max(row.seq, row.vector_seq),
        product_id=row.product_id,
        image_id=row.image_id,
        facts=to_facts(row),
        vector=to_floats(row.data),
    )
