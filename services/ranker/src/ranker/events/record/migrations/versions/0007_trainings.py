"""What is said of each model's training.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add it; of older models nothing is known."""
    training = sa.Column("training", sa.Text(), nullable=False, server_default="{}")
    op.add_column("models", training)
