"""Columns that migrations make. Nothing here may change: a migration makes what it always made."""

from functools import partial

import sqlalchemy as sa

from servicekit import schema

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorts by code point."""

texts = partial(schema.texts, kind=TEXT)


def of_product() -> sa.ForeignKeyConstraint:
    """Goes with its product."""
    product = ["products.catalog_id", "products.product_id"]
    return sa.ForeignKeyConstraint(["catalog_id", "product_id"], product, ondelete="CASCADE")
