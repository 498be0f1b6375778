"""When products were first seen, where retention deleted these events.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

from servicekit.sql.schema import keys, numbers

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the table."""
    op.create_table("product_firsts", *keys("catalog_id", "product_id"), *numbers("time_micros"))


def downgrade() -> None:
    op.drop_table("product_firsts")
