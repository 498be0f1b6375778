"""Synonyms of catalogs.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, texts
from servicekit.sql.schema import numbers

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "synonyms",
        sa.Column("catalog_id", TEXT, primary_key=True),
        *texts("rules"),
        *numbers("update_time", "seq"),
    )


def downgrade() -> None:
    op.drop_table("synonyms")
