"""Photos that were taken down, and photos without a product.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, texts
from servicekit.sql.schema import numbers

revision = "0013"
down_revision = "0012"

KEY = ("catalog_id", "image_id")


def upgrade() -> None:
    op.create_table(
        "takedowns",
        *(sa.Column(name, TEXT, primary_key=True) for name in KEY),
        *texts("reason"),
        *numbers("create_time"),
    )
    op.create_table(
        "unnamed",
        *(sa.Column(name, TEXT, primary_key=True) for name in KEY),
        *numbers("since"),
    )


def downgrade() -> None:
    op.drop_table("unnamed")
    op.drop_table("takedowns")
