"""Jobs that nights requested, with the decision on their results.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the table, with each catalog's newest nightly training, whose model may wait to be
    judged."""
    op.create_table(
        "night_jobs",
        sa.Column("catalog_id", sa.Text, primary_key=True),
        sa.Column("cause", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("requested_micros", sa.BigInteger, nullable=False),
        sa.Column("decided_micros", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO night_jobs (catalog_id, cause, job_id, requested_micros, decided_micros)"
        " SELECT catalog_id, 'training', id, created_time, 0 FROM jobs WHERE id IN"
        " (SELECT max(id) FROM jobs WHERE kind = 'train' AND request_id LIKE 'night of %'"
        " GROUP BY catalog_id)"
    )


def downgrade() -> None:
    op.drop_table("night_jobs")
