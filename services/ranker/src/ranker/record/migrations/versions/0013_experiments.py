"""Experiments, and the arm of the answer that led to an event.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import keys, numbers, texts

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the table of experiments and the arm of events."""
    op.create_table(
        "experiments",
        *keys("catalog_id", "name"),
        *numbers("start_micros"),
        *texts("content", kind=sa.LargeBinary),
    )
    op.add_column("events", sa.Column("arm", sa.Text, nullable=False, server_default=""))
    op.create_index(
        "events_arm",
        "events",
        ["catalog_id", "arm", "type", "time_micros", "actor"],
        sqlite_where=sa.text("arm <> ''"),
        postgresql_where=sa.text("arm <> ''"),
    )


def downgrade() -> None:
    op.drop_index("events_arm", "events")
    op.drop_column("events", "arm")
    op.drop_table("experiments")
