"""Units of products in stock."""

from retriever.record.migrations.columns import add_numbers, drop_columns

revision, down_revision = "0018", "0017"


def upgrade() -> None:
    add_numbers("products", "stock")


def downgrade() -> None:
    drop_columns("products", "stock")
