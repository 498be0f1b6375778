"""Events joined to the answers that led to them, what answers are counted by, and their health.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them. Events and answers of the time before join nothing and are in no count."""
    op.add_column("events", sa.Column("answer_id", sa.Text(), nullable=False, server_default=""))
    op.create_index(
        "events_answer",
        "events",
        ["catalog_id", "answer_id"],
        sqlite_where=sa.text("answer_id <> ''"),
        postgresql_where=sa.text("answer_id <> ''"),
    )
    since = sa.Column("answer_micros", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("answers", since)
    for name in ("model_version", "scene", "arms"):
        op.add_column("answers", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.create_index("answers_time", "answers", ["catalog_id", "answer_micros"])
    op.create_table(
        "health",
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("computed_micros", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
