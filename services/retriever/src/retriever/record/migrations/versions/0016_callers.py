"""The caller that created a job."""

from alembic import op

from servicekit.sql.schema import caller_of_job

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("jobs", caller_of_job())


def downgrade() -> None:
    op.drop_column("jobs", "caller")
