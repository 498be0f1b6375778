"""Catalogs that are created at run time.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, texts
from servicekit.sql.schema import numbers

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "catalogs",
        sa.Column("catalog_id", TEXT, primary_key=True),
        *texts("uid", "state", "display_name", "language_code", "labels", "removed_by"),
        *numbers("quota_share", kind=sa.Double),
        *numbers("create_time", "update_time", "delete_time", "purge_time"),
    )


def downgrade() -> None:
    op.drop_table("catalogs")
