"""Pairs of products that were decided to be different. Their rows go with the products, also with
those that the previous release deletes."""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import numbers, texts

revision, down_revision = "0032", "0031"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by code point."""
PRODUCTS = ["products.catalog_id", "products.product_id"]


def upgrade() -> None:
    op.create_table(
        "distinct_pairs",
        *texts("catalog_id", "pair_id", kind=TEXT),
        *texts("product_id", "other_product_id", "image_id", "other_image_id", kind=TEXT),
        *texts("author", kind=TEXT),
        *numbers("create_time"),
        sa.PrimaryKeyConstraint("catalog_id", "pair_id"),
        *(
            sa.ForeignKeyConstraint(["catalog_id", each], PRODUCTS, ondelete="CASCADE")
            for each in ("product_id", "other_product_id")
        ),
    )
    op.create_index("distinct_pairs_product", "distinct_pairs", ["catalog_id", "product_id"])
    op.create_index("distinct_pairs_other", "distinct_pairs", ["catalog_id", "other_product_id"])


def downgrade() -> None:
    op.drop_table("distinct_pairs")
