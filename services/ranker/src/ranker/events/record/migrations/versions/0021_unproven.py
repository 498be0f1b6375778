"""Events of shoppers without a proof.

Revision ID: 0021
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column. Events that are stored count as before."""
    column = sa.Column[bool]("unproven", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("events", column)


def downgrade() -> None:
    with op.batch_alter_table("events") as table:
        table.drop_column("unproven")
