"""Rows that pass a filter, read from the record by its indexes, and a random sample of rows."""

from collections.abc import Callable, Mapping, Sequence
from operator import eq, ge, gt, le, lt
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.filter_parts import MatchingRows, Part
from retriever.domain.generation import Generation
from retriever.record import statements
from retriever.record.products import FACTS, passing, to_facts
from retriever.record.tables import CATEGORY_HEAD, product_images, products
from servicekit.sql import conditions
from sightline_rules import categories
from sightline_rules.facts import Facts
from sightline_rules.filters import Comparison, Filter, Membership, Money, Operator

_ORDERED: Mapping[Operator, Callable[[Any, int], sa.ColumnElement[bool]]] = {
    Operator.LESS: lt,
    Operator.LESS_OR_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_OR_EQUAL: ge,
    Operator.EQUAL: eq,
}
"""Operators on prices that an SQL index supports."""
_BITS = 128
"""Number of bits of a row id."""


def _by(column: str) -> dict[bool, sa.Select[Any]]:
    """Return the SELECT of rows by values of a column, for each value of Generation.of_products."""
    return {
        given: of.select(of.row.c.row_id, of.row.c.product_id, of.image_id, of.vector.c.data).where(
            conditions.among(of.row, column)
        )
        for given, of in statements.ROWS.items()
    }


_BY_PRODUCT, _BY_ROW = _by("product_id"), _by("row_id")
_SAMPLE = (
    sa.select(product_images.c.row_id, *FACTS)
    .select_from(product_images.join(products, statements.same(product_images, products)))
    .where(
        product_images.c.catalog_id == sa.bindparam("catalog_id"),
        product_images.c.row_id > sa.bindparam("after"),
    )
    .order_by(product_images.c.row_id)
    .limit(sa.bindparam("most"))
)


def read_matching_rows(
    connection: Connection, generation: Generation, condition: Filter, part: Part, most: int
) -> MatchingRows | None:
    """Return the rows that pass, found by an indexed part of the filter.

    Return None if more than `most` products pass that part.
    """
    whole = condition == part
    found = connection.execute(
        sa.select(products.c.product_id, *(() if whole else FACTS))
        .where(products.c.catalog_id == generation.catalog_id, holds(part))
        .limit(most + 1)
    ).all()
    if len(found) > most:
        return None
    kept = found if whole else passing(found, condition)
    product_ids = [row.product_id for row in kept]
    return _read(connection, _BY_PRODUCT[generation.of_products], generation, product_ids)


def read_vectors(
    connection: Connection, generation: Generation, row_ids: Sequence[str]
) -> MatchingRows:
    """Return the rows that the generation should hold, with their vectors."""
    return _read(connection, _BY_ROW[generation.of_products], generation, row_ids)


def _read(
    connection: Connection, statement: sa.Select[Any], generation: Generation, ids: Sequence[str]
) -> MatchingRows:
    rows = list(conditions.look_up(connection, statement, ids, statements.version_of(generation)))
    data = np.frombuffer(b"".join(row.data for row in rows), dtype="<f4")
    keys = [(row.row_id, row.product_id, row.image_id) for row in rows]
    return MatchingRows(keys, data.reshape(len(rows), generation.dimension))


def holds(part: Part) -> sa.ColumnElement[bool]:
    """Return the part as a condition that an index of `products` can look up."""
    c = products.c
    match part:
        case Comparison("price", operator, Money(currency, micros)):
            return sa.and_(c.currency == currency, _ORDERED[operator](c.price_micros, micros))
        case Comparison("brand", _, value):
            return c.brand == value
        case Membership("brand", values):
            return c.brand.in_(values)
        case Comparison("category", _, str() as path):
            return _within(path)
        case Membership("category", values):
            return sa.or_(*(_within(path) for path in values if isinstance(path, str)))
        case _:
            raise AssertionError(f"no index answers {part.field}")


def _within(path: str) -> sa.ColumnElement[bool]:
    """Return a condition for a category and those below it.

    The paths of those below continue with the separator, which ends in " ".
    """
    below, category = path + categories.SEPARATOR, products.c.category
    end = below[:-1] + chr(ord(below[-1]) + 1)
    # A literal, as in the index: with a bound number SQL would not match the two expressions.
    head: sa.ColumnElement[str] = sa.literal_column(
        f"substr(products.category, 1, {CATEGORY_HEAD})"
    )
    # The range also holds a few other paths, such as "path & more". It is one range, because SQLite
    # does not use the index for conditions joined by OR.
    near = (
        sa.and_(head >= path, head < end)
        if len(path) < CATEGORY_HEAD
        else head == path[:CATEGORY_HEAD]
    )
    return sa.and_(near, sa.or_(category == path, sa.and_(category >= below, category < end)))


def read_sample(
    connection: Connection, catalog_id: str, after: str, size: int
) -> tuple[list[Facts], int]:
    """Return products of the `size` rows after a row id, and the approximate number of rows."""
    values = {"catalog_id": catalog_id, "most": size}
    rows = connection.execute(_SAMPLE, {**values, "after": after}).all()
    span = int(rows[-1].row_id, 16) - int(after, 16) if rows else 0
    if len(rows) < size:
        first = connection.execute(_SAMPLE, {**values, "after": ""}).all()
        first = [row for row in first if row.row_id <= after][: size - len(rows)]
        rows = [*rows, *first]
        if len(rows) < size:
            return [to_facts(row) for row in rows], len(rows)
        # Wrap around: from the random id to the last, then from the first up to the random id.
        span = 2**_BITS - int(after, 16) + int(rows[-1].row_id, 16)
    return [to_facts(row) for row in rows], size * 2**_BITS // max(1, span)
