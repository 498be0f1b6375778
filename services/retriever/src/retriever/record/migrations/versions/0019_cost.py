"""Costs of products."""

from retriever.record.migrations.columns import add_numbers, add_texts

revision, down_revision = "0019", "0018"


def upgrade() -> None:
    add_numbers("products", "cost_micros")
    add_texts("products", "cost_currency")
