"""Costs of products."""

from retriever.record.migrations.columns import add_numbers, add_texts, drop_columns

revision, down_revision = "0019", "0018"


def upgrade() -> None:
    add_numbers("products", "cost_micros")
    add_texts("products", "cost_currency")


def downgrade() -> None:
    drop_columns("products", "cost_micros", "cost_currency")
