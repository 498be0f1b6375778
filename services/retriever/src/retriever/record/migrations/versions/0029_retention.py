"""What is retried by a backfill, and how far deletions are known.

The previous release leaves both columns as they are: a backfill of it marks what it retries as its
own, and it forgets no deletion.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0029", "0028"


def upgrade() -> None:
    op.add_column(
        "pending", sa.Column("retried", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "sequences", sa.Column("known_from", sa.BigInteger(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    op.drop_column("pending", "retried")
    op.drop_column("sequences", "known_from")
