"""What a promoted model had shown when it was promoted, which later models are compared with.

Revision ID: 0020
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns; promotions of earlier releases have shown nothing."""
    op.add_column("promotion_log", sa.Column("margin", sa.Double))
    op.add_column("promotion_log", sa.Column("held_out", sa.Double))
    op.add_column(
        "promotion_log",
        sa.Column("anew", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    for name in ("anew", "held_out", "margin"):
        op.drop_column("promotion_log", name)
