"""Digest of the text that a product's vector was made of, for spaces of texts."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("product_vectors", sa.Column("digest", TEXT, nullable=False, server_default=""))
