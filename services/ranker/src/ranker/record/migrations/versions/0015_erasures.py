"""Erasures of shoppers, and leases.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

from servicekit.sql.schema import keys, numbers, texts

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "erasures",
        *keys("catalog_id", "person"),
        *numbers("requested_micros", "completed_micros"),
        *texts("job_id", "receipt"),
    )
    op.create_index("erasures_time", "erasures", ["catalog_id", "requested_micros"])
    op.create_table("leases", *keys("name"), *texts("owner"), *numbers("lease_until"))


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_index("erasures_time", "erasures")
    op.drop_table("erasures")
