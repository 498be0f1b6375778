"""A small store with migrations, as a service would have one."""

import sqlalchemy as sa

from servicekit.jobs.queue import jobs_table
from servicekit.sql.leases import leases_table

MIGRATIONS = "tests.fakes.kit_store.migrations"
METADATA = sa.MetaData()
JOBS = jobs_table(METADATA)
LEASES = leases_table(METADATA)
SHELF = sa.Table("shelf", METADATA, sa.Column("id", sa.Text, primary_key=True))
BOTTLE = sa.Table(
    "bottle",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("shelf_id", sa.Text, sa.ForeignKey("shelf.id", ondelete="CASCADE"), nullable=False),
    sa.Column("label", sa.Text, nullable=False),
)
