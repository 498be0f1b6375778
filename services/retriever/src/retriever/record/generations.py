"""Index generations: the rows they should hold and those they lack."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Connection

from retriever.domain.generation import (
    Generation,
    GenerationState,
    IndexParameters,
    Outstanding,
    Verification,
)
from retriever.record.statements import held_by, same, vector_of
from retriever.record.tables import (
    generations,
    outbox,
    pending,
    product_images,
    product_vectors,
    products,
    vectors,
)
from servicekit.sql.conditions import on
from servicekit.sql.locks import inserting
from servicekit.tasks.supervision import confined

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
_PARAMETERS, _VERIFICATION = TypeAdapter(IndexParameters), TypeAdapter(Verification)
_NAMED = _OF_SPACE.where(generations.c.name == sa.bindparam("name"))


LACKING = sa.exists().where(
    outbox.c.catalog_id == generations.c.catalog_id, outbox.c.seq > generations.c.applied_seq
)
"""SQL condition on generations: the generation lacks changes."""


def _outstanding_statement() -> sa.Select[Any]:
    """Return one statement for all catalogs, since idle workers repeat it."""
    g = generations.c
    version = {name: g[name] for name in ("catalog_id", "space", "space_version")}
    waiting = sa.exists().where(on(pending, **version), ~pending.c.failed)
    live = sa.select(generations, LACKING.label("changes"), waiting.label("pending")).where(
        g.catalog_id.in_(sa.bindparam("catalogs", expanding=True)),
        g.state != GenerationState.DROPPED,
    )
    return live.order_by(g.created, g.name)


_OUTSTANDING = _outstanding_statement()


def read_outstanding(connection: Connection, catalogs: Sequence[str]) -> list[Outstanding]:
    """Return every live generation of some catalogs, oldest first, with whether it is
    incomplete."""
    found = []
    for row in connection.execute(_OUTSTANDING, {"catalogs": catalogs}):
        values = row._asdict()
        changes, waiting = bool(values.pop("changes")), bool(values.pop("pending"))
        with confined("generations", catalog=row.catalog_id, generation=row.name):
            found.append(Outstanding(_to_generation(values), changes, waiting))
    return found


def live_generations(connection: Connection, catalog_id: str) -> list[Generation]:
    """Return every live generation, oldest first."""
    rows = connection.execute(_LIVE, {"catalog_id": catalog_id})
    return [_to_generation(row._asdict()) for row in rows]


def read_generation(
    connection: Connection, catalog_id: str, space: str, name: str = ""
) -> Generation | None:
    """Return the generation of this name, or the active one; None if it does not exist."""
    values = {"catalog_id": catalog_id, "space": space}
    if name:
        return first_generation(connection.execute(_NAMED, {**values, "name": name}))
    return first_generation(connection.execute(_ACTIVE, values))


def first_generation(rows: sa.CursorResult[Any]) -> Generation | None:
    row = rows.first()
    return None if row is None else _to_generation(row._asdict())


def _to_generation(values: dict[str, Any]) -> Generation:
    values["state"] = GenerationState(values["state"])
    values["parameters"] = _to_parameters(values.pop("metric"), values["parameters"])
    values["verification"] = _to_verification(values["verification"])
    return Generation(**values)


@lru_cache(maxsize=1_000)  # every search reads its generation
def _to_parameters(metric: str, text: str) -> IndexParameters:
    return _PARAMETERS.validate_python({**json.loads(text), "metric": metric})


@lru_cache(maxsize=1_000)
def _to_verification(text: str) -> Verification | None:
    return _VERIFICATION.validate_json(text) if text else None


def generation_values(generation: Generation) -> dict[str, Any]:
    """Return a generation as a row."""
    parameters = asdict(generation.parameters)
    values = {each.name: getattr(generation, each.name, None) for each in generations.columns}
    values["metric"] = parameters.pop("metric")
    if not parameters["partitions"]:
        del parameters["partitions"]  # omitted for earlier releases, which do not know it
    values["parameters"] = json.dumps(parameters)
    values["verification"] = verification_text(generation.verification)
    return values


def verification_text(verification: Verification | None) -> str:
    return "" if verification is None else json.dumps(asdict(verification))


def photo_versions(live: Iterable[Generation]) -> list[Generation]:
    """Return a live generation of each version of a space with vectors of photos."""
    photos = {(each.space, each.space_version): each for each in live if not each.of_products}
    return list(photos.values())


def all_generations(connection: Connection, catalog_id: str) -> list[Generation]:
    """Return every generation, including dropped ones, oldest first."""
    rows = connection.execute(_ALL, {"catalog_id": catalog_id})
    return [_to_generation(row._asdict()) for row in rows]


def want(
    connection: Connection,
    target: Generation,
    *,
    after: str = "",
    up_to: str = "",
    backfill: bool = False,
) -> None:
    """Make photos or products pending if they lack a vector of the generation's version.

    `after`, `up_to`: bounds on the id, after < id ≤ up_to; empty: no bound. Rows already pending
    are unchanged. Do nothing if callers supply the vectors. Products without a text become pending
    too; the worker drops them when it reads their text.
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
    """Return the column of the items that a generation embeds: photos, or products for their
    texts."""
    return products.c.product_id if target.of_texts else product_images.c.image_id


def _lacking(target: Generation) -> tuple[sa.Column[str], sa.Select[Any]]:
    """Return `item_of`, and a SELECT of items that lack a vector of the generation's version."""
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
