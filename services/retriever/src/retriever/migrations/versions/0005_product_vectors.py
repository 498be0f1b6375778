"""Vectors of products themselves, which callers give, beside those of their photos."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorts by code point."""


def upgrade() -> None:
    op.add_column(
        "generations",
        sa.Column("of_products", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "product_vectors",
        sa.Column("catalog_id", TEXT, nullable=False),
        sa.Column("space", TEXT, nullable=False),
        sa.Column("space_version", TEXT, nullable=False),
        sa.Column("product_id", TEXT, nullable=False),
        sa.Column("row_id", TEXT, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version", "product_id"),
        sa.ForeignKeyConstraint(
            ["catalog_id", "product_id"],
            ["products.catalog_id", "products.product_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "product_vectors_row",
        "product_vectors",
        ["catalog_id", "space", "space_version", "row_id"],
        unique=True,
    )
    op.create_index("product_vectors_product", "product_vectors", ["catalog_id", "product_id"])


def downgrade() -> None:
    op.drop_table("product_vectors")
    op.drop_column("generations", "of_products")
