"""Parts of SQL statements, shared by the record's modules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import Generation
from retriever.domain.vectors import Floats
from retriever.record.tables import (
    generations,
    images,
    pending,
    product_images,
    product_vectors,
    vectors,
)
from servicekit.sql.conditions import on
from servicekit.sql.resources import put
from sightline_rules import ids


def same(left: sa.Table, right: sa.Table) -> sa.ColumnElement[bool]:
    return on(left, catalog_id=right.c.catalog_id, product_id=right.c.product_id)


def version_of(generation: Generation) -> dict[str, str]:
    """Return the generation's version as values of rows and parameters of prebuilt statements."""
    return {
        "catalog_id": generation.catalog_id,
        "space": generation.space,
        "space_version": generation.space_version,
    }


BOUND_VERSION: Mapping[str, Any] = {
    "space": sa.bindparam("space"),
    "space_version": sa.bindparam("space_version"),
}
"""For `on`, in statements that are built once; `version_of` gives the values."""


PHOTO = on(images, catalog_id=product_images.c.catalog_id, image_id=product_images.c.image_id)
"""Condition that joins a product's photo with its stored photo."""


def _vector_where(**version: Any) -> sa.ColumnElement[bool]:
    photo = product_images.c
    return on(vectors, catalog_id=photo.catalog_id, image_id=photo.image_id, **version)


def vector_of(generation: Generation) -> sa.ColumnElement[bool]:
    """Return the join of a product's photo with its vector of the generation's version."""
    return _vector_where(space=generation.space, space_version=generation.space_version)


@dataclass(frozen=True, slots=True)
class RowSource:
    """Tables from which the index's rows are read."""

    row: sa.Table
    """Table with the row ids."""
    vector: sa.Table
    joined: sa.FromClause
    """`row` joined with `vector`."""
    image_id: sa.ColumnElement[str]
    """Empty if the vector is of the product itself."""
    position: sa.ColumnElement[int]
    """Position of the photo in its product's list."""

    def select(self, *columns: Any) -> sa.Select[Any]:
        """Return a SELECT of a version's rows; `version_of` gives the values."""
        mine = self.row.c.catalog_id == sa.bindparam("catalog_id")
        query = sa.select(*columns).select_from(self.joined)
        return query.where(mine, on(self.vector, **BOUND_VERSION))


ROWS: Mapping[bool, RowSource] = {
    False: RowSource(
        product_images,
        vectors,
        product_images.join(vectors, _vector_where()),
        product_images.c.image_id,
        product_images.c.position,
    ),
    True: RowSource(
        product_vectors,
        product_vectors,
        product_vectors,
        sa.literal("").label("image_id"),
        sa.literal(0).label("position"),
    ),
}
"""Row sources by Generation.of_products."""


def count(
    connection: Connection, rows: sa.Select[Any], most: int | None, of: Mapping[str, Any]
) -> int:
    """Count the rows of a query; stop at `most`."""
    counted = sa.select(sa.func.count()).select_from(rows.limit(most).subquery())
    return int(connection.execute(counted, of).scalar_one())


def held_by(generation: Generation, table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a vector is of the generation's version."""
    return on(table, **version_of(generation))


def pending_of(
    generation: Generation, item_ids: Sequence[str] | None = None
) -> sa.ColumnElement[bool]:
    of = held_by(generation, pending)
    return of if item_ids is None else sa.and_(of, pending.c.image_id.in_(item_ids))


def want(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Make photos or products pending for a write (`pending_row`). Those that are pending stay so,
    but belong to the write from now on, not to a backfill, which may be cancelled."""
    put(connection, pending, rows, keep=True, but=("backfill", "retried"))


def pending_row(target: Generation, item_id: str, seq: int, now: int) -> dict[str, Any]:
    return {
        **version_of(target),
        "image_id": item_id,
        "write_seq": seq,
        "write_time": now,
        "attempts": 0,
        "next_attempt": now,
        "reason": "",
        "failed": False,
        "backfill": False,
    }


def photo_rows(catalog_id: str, product_id: str, image_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return a product's photos in order, as rows of `product_images`."""
    return [
        {
            "catalog_id": catalog_id,
            "product_id": product_id,
            "position": position,
            "image_id": image_id,
            "row_id": ids.derive_id(catalog_id, product_id, image_id),
        }
        for position, image_id in enumerate(image_ids)
    ]


def is_generation(generation: Generation) -> sa.ColumnElement[bool]:
    return on(generations, catalog_id=generation.catalog_id, name=generation.name)


def to_floats(data: bytes) -> Floats:
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)
