"""The ledger of counts with differential privacy.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import keys, numbers, texts

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "privacy_budget",
        *keys("catalog_id", "key"),
        *numbers("spent_micros"),
        *numbers("epsilon", "delta", kind=sa.Double),
        *texts("text"),
    )
    op.create_index("privacy_budget_time", "privacy_budget", ["catalog_id", "spent_micros"])


def downgrade() -> None:
    op.drop_index("privacy_budget_time", "privacy_budget")
    op.drop_table("privacy_budget")
