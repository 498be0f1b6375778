"""The share of impressions that were kept, and an index by age.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; every event so far stands for itself."""
    share = sa.Column("sample_share", sa.Double(), nullable=False, server_default="1.0")
    op.add_column("events", share)
    op.create_index("events_age", "events", ["catalog_id", "type", "time_micros"])
