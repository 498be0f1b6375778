"""Evaluations, what promotions went by, and models whose files were deleted.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; nothing was evaluated so far."""
    op.create_table(
        "evaluations",
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("production", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("evaluated_micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
        sa.PrimaryKeyConstraint("catalog_id", "version"),
    )
    for table in ("models", "promotion_log"):
        forced: sa.Column[bool] = sa.Column(
            "forced", sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column(table, forced)
    op.add_column("models", sa.Column("pruned_micros", sa.BigInteger(), nullable=True))
    verdict: sa.Column[str] = sa.Column("verdict", sa.Text(), nullable=False, server_default="")
    op.add_column("promotion_log", verdict)
