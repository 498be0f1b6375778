"""The index of categories holds only the first characters of each.

An index entry of PostgreSQL has at most 2,704 bytes; eight levels of 128 characters may need more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"

NAME = "products_category"


def upgrade() -> None:
    op.drop_index(NAME, "products")
    op.create_index(NAME, "products", ["catalog_id", sa.text("substr(category, 1, 500)")])
