"""Ratings of products."""

from retriever.record.migrations.columns import add_numbers

revision, down_revision = "0017", "0016"


def upgrade() -> None:
    add_numbers("products", "rating", "rating_count")
