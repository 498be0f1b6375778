"""The index of categories holds their beginnings.

PostgreSQL takes at most 2,704 bytes for an entry, and eight levels of 128 characters may have more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"

NAME = "products_category"


def upgrade() -> None:
    op.drop_index(NAME, "products")
    op.create_index(NAME, "products", ["catalog_id", sa.text("substr(category, 1, 500)")])
