"""Merged visitors, the log of promotions, and an index for purges.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import numbers, sequence, texts

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and index; earlier promotions become the first rows of the log."""
    op.create_table(
        "aliases",
        *texts("catalog_id", "visitor", "actor", "key_id"),
        *numbers("merged_micros"),
        sa.PrimaryKeyConstraint("catalog_id", "visitor"),
    )
    op.create_table(
        "promotion_log",
        sequence(),
        *texts("catalog_id", "version"),
        *numbers("promoted_micros"),
        sa.Column("undone_micros", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index("promotion_log_order", "promotion_log", ["catalog_id", "sequence"])
    op.create_index(
        "events_product",
        "events",
        ["catalog_id", "product_id"],
        sqlite_where=sa.text("kind = 'INTEREST'"),
        postgresql_where=sa.text("kind = 'INTEREST'"),
    )
    # Of the time before, only each model's last promotion is known. The serving model's comes last.
    op.execute(
        """
        INSERT INTO promotion_log (catalog_id, version, promoted_micros)
        SELECT m.catalog_id, m.version, m.promoted_micros
        FROM models AS m
        LEFT JOIN promotions AS p ON p.catalog_id = m.catalog_id AND p.version = m.version
        WHERE m.promoted_micros IS NOT NULL
        ORDER BY p.version IS NOT NULL, m.promoted_micros
        """
    )
