"""Photos that were taken down: only their ids and reasons are kept."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import TEXT_SPACE
from retriever.domain.product import Takedown
from retriever.record import statements
from retriever.record.product_batch import Batch
from retriever.record.products import read_products
from retriever.record.session import TAKEN_DOWN, USERS, Session
from retriever.record.tables import images, mismatches, pending, takedowns, unnamed, vectors

_TAKEDOWN = sa.select(takedowns.c.image_id, takedowns.c.reason, takedowns.c.create_time)


def read_taken_down(
    connection: Connection, catalog_id: str, image_ids: Iterable[str]
) -> frozenset[str]:
    """Return those of the photos that were taken down."""
    found = statements.look_up(connection, TAKEN_DOWN, image_ids, {"catalog_id": catalog_id})
    return frozenset(row.image_id for row in found)


def read_takedowns(
    connection: Connection, catalog_id: str, after: str, limit: int
) -> list[Takedown]:
    """Return takedowns in the order of photo ids, after a given one."""
    t = takedowns.c
    mine = t.catalog_id == catalog_id, t.image_id > after
    query = _TAKEDOWN.where(*mine).order_by(t.image_id).limit(limit)
    return [Takedown(*row) for row in connection.execute(query)]


def take_down(
    connection: Connection, now: int, catalog_id: str, image_id: str, reason: str
) -> tuple[Takedown, list[str]]:
    """Remove a photo from every product and delete it. Return the takedown and the products that
    had it. A repeated takedown keeps the first reason."""
    session = Session(connection, catalog_id, now)
    row = {"catalog_id": catalog_id, "image_id": image_id, "reason": reason, "create_time": now}
    statements.put(connection, takedowns, [row], keep=True)
    named = sorted(row.product_id for row in session.look_up(USERS, [image_id]))
    contents = [
        replace(held.content, image_ids=tuple(i for i in held.content.image_ids if i != image_id))
        for held in read_products(connection, catalog_id, named).values()
    ]
    batch = Batch(session, contents)
    for content in contents:
        batch.overwrite(content)
    batch.save()
    forget(connection, catalog_id, [image_id])
    mine = statements.on(takedowns, catalog_id=catalog_id, image_id=image_id)
    return Takedown(*connection.execute(_TAKEDOWN.where(mine)).one()), named


def forget(connection: Connection, catalog_id: str, image_ids: Sequence[str]) -> None:
    """Delete all records of photos without a product."""
    for chunk in statements.chunks(image_ids):
        for table in (mismatches, pending, vectors, unnamed, images):
            gone = sa.delete(table).where(
                table.c.catalog_id == catalog_id, table.c.image_id.in_(chunk)
            )
            # `pending` also holds products, by their own ids.
            connection.execute(
                gone.where(pending.c.space != TEXT_SPACE) if table is pending else gone
            )


def lift(connection: Connection, catalog_id: str, image_id: str) -> bool:
    """Lift a takedown. Return whether there was one."""
    mine = statements.on(takedowns, catalog_id=catalog_id, image_id=image_id)
    return bool(connection.execute(sa.delete(takedowns).where(mine)).rowcount)
