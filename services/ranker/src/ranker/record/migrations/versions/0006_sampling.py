"""The sample share of impressions, an index by age, and a narrower one by product.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column and indexes; existing events have a sample share of 1."""
    share = sa.Column[float]("sample_share", sa.Double(), nullable=False, server_default="1.0")
    op.add_column("events", share)
    op.create_index("events_age", "events", ["catalog_id", "type", "time_micros"])
    op.drop_index("events_product", "events")
    counted = sa.text("kind = 'INTEREST' AND product_id > ''")
    op.create_index(
        "events_product",
        "events",
        ["catalog_id", "product_id"],
        sqlite_where=counted,
        postgresql_where=counted,
    )
