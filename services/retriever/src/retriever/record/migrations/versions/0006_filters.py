"""Indexes for narrow filters, which few products pass."""

from alembic import op

revision = "0006"
down_revision = "0005"

INDEXES = {
    "products_category": ["catalog_id", "category"],
    "products_brand": ["catalog_id", "brand"],
    "products_price": ["catalog_id", "currency", "price_micros"],
}


def upgrade() -> None:
    for name, columns in INDEXES.items():
        op.create_index(name, "products", columns)
