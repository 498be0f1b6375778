"""Training data of each model.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; it is empty for existing models."""
    training = sa.Column("training", sa.Text(), nullable=False, server_default="{}")
    op.add_column("models", training)
