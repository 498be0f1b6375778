"""Number of answers in which controls acted.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "control_exposures",
        sa.Column("catalog_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("exposures", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("control_exposures")
