import sqlalchemy as sa
from alembic import op

from servicekit.jobs.queue import jobs_table
from servicekit.sql.leases import leases_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("shelf", sa.Column("id", sa.Text, primary_key=True))
    op.create_table(
        "bottle",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "shelf_id", sa.Text, sa.ForeignKey("shelf.id", ondelete="CASCADE"), nullable=False
        ),
    )
    for make in (jobs_table, leases_table):
        make(sa.MetaData()).create(op.get_bind())
    op.execute("INSERT INTO shelf VALUES ('old')")
    op.execute("INSERT INTO bottle (id, shelf_id) VALUES (1, 'old')")
