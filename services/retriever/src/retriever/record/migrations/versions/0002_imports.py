"""Imports and their rows; when a product was last written whole; variants by parent."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import texts
from servicekit.sql.schema import flags, numbers

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "imports",
        *texts("catalog_id", "import_id", "mode"),
        *numbers("rows_done", "stored_count", "refused_count"),
        *flags("closed"),
        *numbers("opened_seq", "before_seq", "create_time", "active_time", "delete_count"),
        *texts("sample"),
        sa.PrimaryKeyConstraint("catalog_id", "import_id"),
    )
    op.create_table(
        "import_rows",
        *texts("catalog_id", "import_id"),
        *numbers("row_number"),
        *texts("product_id"),
        *flags("stored"),
        *texts("outcome"),
        sa.ForeignKeyConstraint(
            ["catalog_id", "import_id"], ["imports.catalog_id", "imports.import_id"]
        ),
        sa.PrimaryKeyConstraint("catalog_id", "import_id", "row_number"),
    )
    op.create_index("import_rows_product", "import_rows", ["catalog_id", "import_id", "product_id"])
    # 0: existing products were last written before any import was opened.
    op.add_column(
        "products", sa.Column("touched", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_index("products_parent", "products", ["catalog_id", "parent_id"])
    op.create_index("products_touched", "products", ["catalog_id", "touched", "product_id"])
