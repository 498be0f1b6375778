"""Photos without a product: since when, and their deletion."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.record.session import USERS, Session
from retriever.record.tables import images, product_images, unnamed, watch_photos
from retriever.record.taken_down import forget
from servicekit.sql import conditions
from servicekit.sql.resources import put

_NAMED = sa.exists().where(
    conditions.on(product_images, catalog_id=images.c.catalog_id, image_id=images.c.image_id)
)
_PAGE = (
    sa.select(images.c.image_id, _NAMED.label("named"))
    .where(
        images.c.catalog_id == sa.bindparam("catalog_id"),
        images.c.image_id > sa.bindparam("after"),
    )
    .order_by(images.c.image_id)
    .limit(sa.bindparam("most"))
)
_KNOWN = sa.select(images.c.image_id).where(conditions.among(images, "image_id"))
_WATCHED = sa.select(watch_photos.c.image_id).where(
    conditions.among(watch_photos, "image_id"),
    (watch_photos.c.expire_time == 0) | (watch_photos.c.expire_time > sa.bindparam("now")),
)
"""Photos that releases up to 0.42 stored for watches, until these are moved (tables.py), or until
the term of an alert's photo ends."""


def read_unnamed(
    connection: Connection, catalog_id: str, after: str, limit: int
) -> tuple[list[str], str]:
    """Scan the next photos after a given one.

    Return those without a product, and the last one scanned; empty at the end.
    """
    values = {"catalog_id": catalog_id, "after": after, "most": limit}
    rows = connection.execute(_PAGE, values).all()
    last = rows[-1].image_id if len(rows) == limit else ""
    return [row.image_id for row in rows if not row.named], last


def read_unknown(
    connection: Connection, now: int, catalog_id: str, image_ids: Sequence[str]
) -> list[str]:
    """Return the photos that the record does not know."""
    of = {"catalog_id": catalog_id, "now": now}
    known = {
        row.image_id
        for statement in (_KNOWN, _WATCHED)
        for row in conditions.look_up(connection, statement, image_ids, of)
    }
    return [image_id for image_id in image_ids if image_id not in known]


def note_unnamed(
    connection: Connection, now: int, catalog_id: str, image_ids: Iterable[str]
) -> None:
    """Record photos as without a product; those recorded earlier keep their time."""
    rows = [{"catalog_id": catalog_id, "image_id": each, "since": now} for each in image_ids]
    put(connection, unnamed, rows, keep=True)


def forget_named(connection: Connection, catalog_id: str) -> None:
    """Delete the entries of photos that a product has again."""
    has = sa.exists().where(
        conditions.on(product_images, catalog_id=unnamed.c.catalog_id, image_id=unnamed.c.image_id)
    )
    connection.execute(sa.delete(unnamed).where(unnamed.c.catalog_id == catalog_id, has))


def read_overdue(connection: Connection, catalog_id: str, before: int, limit: int) -> list[str]:
    """Return photos without a product since before a time."""
    mine = unnamed.c.catalog_id == catalog_id, unnamed.c.since < before
    return list(
        connection.execute(sa.select(unnamed.c.image_id).where(*mine).limit(limit)).scalars()
    )


def drop_unnamed(
    connection: Connection, now: int, catalog_id: str, image_ids: Sequence[str]
) -> list[str]:
    """Delete photos that still have no product. Return them: their bytes may be deleted."""
    session = Session(connection, catalog_id, now)  # blocks writes of products
    named = {
        row.image_id
        for statement in (USERS, _WATCHED)
        for row in session.look_up(statement, image_ids, now=now)
    }
    gone = [image_id for image_id in image_ids if image_id not in named]
    forget(connection, catalog_id, gone)
    mine = unnamed.c.catalog_id == catalog_id, unnamed.c.image_id.in_(image_ids)
    connection.execute(sa.delete(unnamed).where(*mine))
    return gone
