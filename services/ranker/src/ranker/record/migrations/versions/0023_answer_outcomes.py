"""Number of an answer's products, and causes of its degradations.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the columns. They are unknown of stored answers."""
    op.add_column("answers", sa.Column("product_count", sa.Integer()))
    op.add_column("answers", sa.Column("degraded_by", sa.BigInteger()))


def downgrade() -> None:
    for name in ("degraded_by", "product_count"):
        op.drop_column("answers", name)
