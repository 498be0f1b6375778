"""Events of shoppers without a proof, or with a new one.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
NAMES = ("unproven", "new_visitor")


def upgrade() -> None:
    """Add the columns. Events that are stored count as before."""
    for name in NAMES:
        column = sa.Column[bool](name, sa.Boolean(), nullable=False, server_default=sa.false())
        op.add_column("events", column)


def downgrade() -> None:
    for name in NAMES:
        op.drop_column("events", name)
