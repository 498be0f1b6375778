"""Evaluations, the verdicts behind promotions, and models whose files were deleted.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import numbers, texts

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns and tables; existing models count as not evaluated."""
    op.create_table(
        "evaluations",
        *texts("catalog_id", "version", "verdict", "summary", "production", "content"),
        *numbers("evaluated_micros"),
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
