"""Names that stand for catalogs, and catalogs that a copy fills.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, texts
from servicekit.sql.schema import numbers

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "catalog_aliases",
        sa.Column("alias_id", TEXT, primary_key=True),
        *texts("catalog_id", "etag"),
        *numbers("create_time", "update_time"),
    )
    op.add_column("catalogs", sa.Column("copied_from", TEXT, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("catalogs", "copied_from")
    op.drop_table("catalog_aliases")
