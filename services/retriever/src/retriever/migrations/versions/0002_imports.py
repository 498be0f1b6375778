"""Imports and their rows; when a product was last written whole; variants by parent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorts by code point."""


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("catalog_id", TEXT, nullable=False),
        sa.Column("import_id", TEXT, nullable=False),
        sa.Column("mode", TEXT, nullable=False),
        sa.Column("rows_done", sa.BigInteger(), nullable=False),
        sa.Column("stored_count", sa.BigInteger(), nullable=False),
        sa.Column("refused_count", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("opened_seq", sa.BigInteger(), nullable=False),
        sa.Column("before_seq", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("active_time", sa.BigInteger(), nullable=False),
        sa.Column("delete_count", sa.BigInteger(), nullable=False),
        sa.Column("sample", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "import_id"),
    )
    op.create_table(
        "import_rows",
        sa.Column("catalog_id", TEXT, nullable=False),
        sa.Column("import_id", TEXT, nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("product_id", TEXT, nullable=False),
        sa.Column("stored", sa.Boolean(), nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id", "import_id"], ["imports.catalog_id", "imports.import_id"]
        ),
        sa.PrimaryKeyConstraint("catalog_id", "import_id", "row_number"),
    )
    op.create_index("import_rows_product", "import_rows", ["catalog_id", "import_id", "product_id"])
    # Products of before count as not written since any import was opened, which is true.
    op.add_column(
        "products", sa.Column("touched", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_index("products_parent", "products", ["catalog_id", "parent_id"])
    op.create_index("products_touched", "products", ["catalog_id", "touched", "product_id"])


def downgrade() -> None:
    op.drop_index("products_touched", "products")
    op.drop_index("products_parent", "products")
    op.drop_column("products", "touched")
    op.drop_table("import_rows")
    op.drop_table("imports")
