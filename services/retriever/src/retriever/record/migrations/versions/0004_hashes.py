"""Perceptual hashes of photos. The worker hashes photos that were stored earlier."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("images", sa.Column("perceptual_hash", sa.BigInteger(), nullable=True))
    op.create_index(
        "images_unhashed",
        "images",
        ["catalog_id", "image_id"],
        sqlite_where=sa.text("perceptual_hash IS NULL"),
        postgresql_where=sa.text("perceptual_hash IS NULL"),
    )
