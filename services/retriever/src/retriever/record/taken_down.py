"""Photos that were taken down: only their ids and reasons are kept."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import TEXT_SPACE
from retriever.domain.product import Takedown
from retriever.record.product_batch import Batch
from retriever.record.products import read_products
from retriever.record.session import TAKEN_DOWN, USERS, Session
from retriever.record.tables import images, mismatches, pending, takedowns, unnamed, vectors
from servicekit.sql import conditions
from servicekit.sql.resources import Resource, ResourceErrors, Rows

TAKEDOWNS = Resource(
    Rows(takedowns, Takedown), ResourceErrors(), contents=lambda takedown: takedown.image_id
)


def read_taken_down(
    connection: Connection, catalog_id: str, image_ids: Iterable[str]
) -> frozenset[str]:
    """Return those of the photos that were taken down."""
    found = conditions.look_up(connection, TAKEN_DOWN, image_ids, {"catalog_id": catalog_id})
    return frozenset(row.image_id for row in found)


def take_down(
    connection: Connection, now: int, catalog_id: str, image_id: str, reason: str
) -> tuple[Takedown, list[str]]:
    """Remove a photo from every product and delete it. Return the takedown and the products that
    had it. A repeated takedown keeps the first reason."""
    session = Session(connection, catalog_id, now)
    wanted = Takedown(image_id, reason, now)
    takedown, _ = TAKEDOWNS.create(connection, wanted, catalog_id, image_id)
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
    return takedown, named


def forget(connection: Connection, catalog_id: str, image_ids: Sequence[str]) -> None:
    """Delete all records of photos without a product."""
    for chunk in conditions.chunks(image_ids):
        for table in (mismatches, pending, vectors, unnamed, images):
            gone = sa.delete(table).where(
                table.c.catalog_id == catalog_id, table.c.image_id.in_(chunk)
            )
            # `pending` also holds products, by their own ids.
            connection.execute(
                gone.where(pending.c.space != TEXT_SPACE) if table is pending else gone
            )
