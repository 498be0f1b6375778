"""Photos that contradict the categories of their products."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorts by code point."""
KEY = ("catalog_id", "product_id", "image_id")


def upgrade() -> None:
    op.create_table(
        "doubts",
        *(sa.Column(name, TEXT, primary_key=True) for name in KEY),
        sa.Column("category", TEXT, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("instead", TEXT, nullable=False),
        sa.Column("instead_probability", sa.Double, nullable=False),
        sa.Column("space_version", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id", "product_id"],
            ["products.catalog_id", "products.product_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("doubts_image", "doubts", ["catalog_id", "image_id"])


def downgrade() -> None:
    op.drop_table("doubts")
