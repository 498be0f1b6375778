"""Join of events to their answers, the columns that answers are grouped by, and feedback health.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import numbers, texts

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns and tables. Earlier events and answers are not joined or counted."""
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
        *texts("catalog_id"),
        *numbers("computed_micros"),
        *texts("content"),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
