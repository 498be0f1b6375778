"""Columns that migrations create. Never change what these functions create: a migration must always
create the same columns."""

from functools import partial

import sqlalchemy as sa
from alembic import op

from servicekit.sql import schema

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by code point."""

texts = partial(schema.texts, kind=TEXT)


def drop_columns(table: str, *names: str) -> None:
    """Drop columns."""
    for name in names:
        op.drop_column(table, name)


def of_product() -> sa.ForeignKeyConstraint:
    """Return a foreign key that deletes a row with its product."""
    product = ["products.catalog_id", "products.product_id"]
    return sa.ForeignKeyConstraint(["catalog_id", "product_id"], product, ondelete="CASCADE")
