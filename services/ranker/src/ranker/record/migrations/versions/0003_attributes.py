"""Attributes that shoppers gave with their consent.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import numbers, texts

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table of attributes."""
    op.create_table(
        "attributes",
        *texts("catalog_id", "actor", "key", "value", "key_id"),
        *numbers("consent_micros"),
        sa.PrimaryKeyConstraint("catalog_id", "actor", "key"),
    )
