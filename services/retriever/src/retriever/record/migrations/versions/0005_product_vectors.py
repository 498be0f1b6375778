"""Vectors of products, given by callers, in addition to those of photos."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import of_product, texts
from servicekit.sql.schema import numbers

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "generations",
        sa.Column("of_products", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "product_vectors",
        *texts("catalog_id", "space", "space_version", "product_id", "row_id"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        *numbers("seq"),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version", "product_id"),
        of_product(),
    )
    op.create_index(
        "product_vectors_row",
        "product_vectors",
        ["catalog_id", "space", "space_version", "row_id"],
        unique=True,
    )
    op.create_index("product_vectors_product", "product_vectors", ["catalog_id", "product_id"])
