"""Values of products by market."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, add_texts, drop_columns

revision, down_revision = "0024", "0023"


def upgrade() -> None:
    add_texts("products", "markets")
    op.create_table(
        "markets",
        sa.Column("catalog_id", TEXT, primary_key=True),
        sa.Column("market_id", TEXT, primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("markets")
    drop_columns("products", "markets")
