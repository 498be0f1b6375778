"""Columns of photos that the worker fills after the photos are stored."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.record.statements import among, look_up
from retriever.record.tables import images, product_images

_USERS = sa.select(product_images.c.product_id).where(among(product_images, "image_id"))


class ComputedColumn:
    """A column of photos, NULL until its value is computed."""

    def __init__(self, name: str) -> None:
        """Prepare the statements for a column of the photos' table."""
        column = images.c[name]
        self._missing = (
            sa.select(images.c.image_id)
            .where(images.c.catalog_id == sa.bindparam("catalog_id"), column.is_(None))
            .order_by(images.c.image_id)
            .limit(sa.bindparam("most"))
        )
        self._save = (
            sa.update(images)
            .where(
                images.c.catalog_id == sa.bindparam("of_catalog"),
                images.c.image_id == sa.bindparam("of_image"),
            )
            .values({name: sa.bindparam("computed")})
        )

    def missing(self, connection: Connection, catalog_id: str, limit: int) -> list[str]:
        """Return ids of up to `limit` photos without a value."""
        values = {"catalog_id": catalog_id, "most": limit}
        return list(connection.execute(self._missing, values).scalars())

    def save(self, connection: Connection, catalog_id: str, values: Mapping[str, object]) -> None:
        """Store values, by ids of photos."""
        rows = [
            {"of_catalog": catalog_id, "of_image": image_id, "computed": value}
            for image_id, value in values.items()
        ]
        if rows:
            connection.execute(self._save, rows)


def users_of(connection: Connection, catalog_id: str, image_ids: Collection[str]) -> list[str]:
    """Return the products that have any of these photos, by id."""
    users = look_up(connection, _USERS, list(image_ids), {"catalog_id": catalog_id})
    return sorted({row.product_id for row in users})
