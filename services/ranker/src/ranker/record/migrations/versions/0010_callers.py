"""The caller of each job.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

from servicekit.sql.schema import caller_of_job

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("jobs", caller_of_job())


def downgrade() -> None:
    op.drop_column("jobs", "caller")
