"""Ratings of products."""

from retriever.record.migrations.columns import add_numbers, drop_columns

revision, down_revision = "0017", "0016"


def upgrade() -> None:
    add_numbers("products", "rating", "rating_count")


def downgrade() -> None:
    drop_columns("products", "rating", "rating_count")
