"""A covering index for the outcomes of answers.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add all counted columns to the index."""
    op.drop_index("events_answer", "events")
    op.create_index(
        "events_answer",
        "events",
        [
            "catalog_id",
            "answer_id",
            "product_id",
            "type",
            "time_micros",
            "sample_share",
            "position",
        ],
        sqlite_where=sa.text("answer_id <> ''"),
        postgresql_where=sa.text("answer_id <> ''"),
    )
