"""Pairs of products that were decided to be different. A pair is stored with the first photos of
both: another photo ends the decision without a write, and the next decision deletes the row."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.archive import Row
from retriever.domain.distinct_pairs import MOST_PAIRS, DistinctPair, pairs_of
from retriever.domain.errors import DistinctPairsFull, ProductNotFound
from retriever.record.session import Session
from retriever.record.statements import same
from retriever.record.tables import distinct_pairs, product_images, products
from servicekit.sql.conditions import among, on
from servicekit.sql.resources import Resource, ResourceErrors, Rows, put
from sightline_rules.ids import derive_id


def _has_photo(product: sa.Column[str], image: sa.Column[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a product of a pair still has its first photo, or none."""
    first = on(product_images, catalog_id=distinct_pairs.c.catalog_id, product_id=product)
    found = sa.select(product_images.c.image_id).where(first, product_images.c.position == 0)
    return sa.func.coalesce(found.correlate(distinct_pairs).scalar_subquery(), "") == image


_C = distinct_pairs.c
_HOLDS = sa.and_(
    _has_photo(_C.product_id, _C.image_id), _has_photo(_C.other_product_id, _C.other_image_id)
)
PAIRS = Resource(
    Rows(distinct_pairs, DistinctPair),
    ResourceErrors(full=DistinctPairsFull),
    contents=lambda pair: (pair.image_id, pair.other_image_id),
    most=MOST_PAIRS,
    removed=~_HOLDS,
)
_FIRST_PHOTOS = (
    sa.select(products.c.product_id, sa.func.coalesce(product_images.c.image_id, "").label("first"))
    .outerjoin_from(
        products,
        product_images,
        sa.and_(same(product_images, products), product_images.c.position == 0),
    )
    .where(among(products, "product_id"))
)
_DECIDED = sa.select(distinct_pairs).where(among(distinct_pairs, "pair_id"))


def mark_distinct(
    connection: Connection, now: int, catalog_id: str, product_ids: Sequence[str], author: str
) -> list[DistinctPair]:
    """Decide that each two of the products are different; a decided pair stays as it is. Return the
    pairs. Raises RequestInvalid, ProductNotFound, DistinctPairsFull."""
    pairs, session = pairs_of(product_ids), _begin(connection, now, catalog_id)
    photos = {row.product_id: row.first for row in session.look_up(_FIRST_PHOTOS, product_ids)}
    if len(photos) < len(product_ids):
        raise ProductNotFound
    wanted = {
        derive_id(one, other): DistinctPair(one, other, photos[one], photos[other], author, now)
        for one, other in pairs
    }
    decided = {row.pair_id: PAIRS.rows.of(row) for row in session.look_up(_DECIDED, wanted)}
    PAIRS.check_room(connection, catalog_id, coming=len(wanted) - len(decided))
    for name, pair in wanted.items():
        if name not in decided:
            PAIRS.put(connection, pair, catalog_id, name)
    return [*(wanted | decided).values()]


def unmark_distinct(
    connection: Connection, now: int, catalog_id: str, product_ids: Sequence[str]
) -> int:
    """Take decisions about each two of the products back. Return their number. Raises
    RequestInvalid."""
    pairs = pairs_of(product_ids)
    _begin(connection, now, catalog_id)
    return sum(PAIRS.delete(connection, catalog_id, derive_id(*each)) for each in pairs)


def restore_pairs(connection: Connection, now: int, catalog_id: str, rows: Sequence[Row]) -> None:
    """Store the pairs of an archive whose products exist, as many as the catalog has room for;
    decisions of the catalog stay as they are."""
    session = _begin(connection, now, catalog_id)
    named = {row[name] for row in rows for name in ("product_id", "other_product_id")}
    there = {row.product_id for row in session.look_up(_FIRST_PHOTOS, named)}
    kept = [
        {
            **row,
            "catalog_id": catalog_id,
            "pair_id": derive_id(row["product_id"], row["other_product_id"]),
        }
        for row in rows
        if {row["product_id"], row["other_product_id"]} <= there
    ]
    decided = {row.pair_id for row in session.look_up(_DECIDED, [row["pair_id"] for row in kept])}
    coming = [row for row in kept if row["pair_id"] not in decided]
    mine = sa.select(sa.func.count()).where(_C.catalog_id == catalog_id)
    # More than this, and no backup of the catalog could be restored.
    room = max(0, PAIRS.most - connection.execute(mine).scalar_one())
    put(connection, distinct_pairs, coming[:room], keep=True)


def _begin(connection: Connection, now: int, catalog_id: str) -> Session:
    """Return a session after deleting the pairs that do not hold any more."""
    session = Session(connection, catalog_id, now)
    connection.execute(sa.delete(distinct_pairs).where(_C.catalog_id == catalog_id, ~_HOLDS))
    return session
