"""What text a product's vector was made of, where the embedder makes it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorts by code point."""


def upgrade() -> None:
    op.add_column("product_vectors", sa.Column("digest", TEXT, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("product_vectors", "digest")
