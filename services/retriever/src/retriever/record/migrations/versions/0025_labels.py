"""Texts of the labels on photos."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import add_texts, drop_columns

revision, down_revision = "0025", "0024"


def upgrade() -> None:
    add_texts("images", "label")
    op.create_index(
        "images_unread",
        "images",
        ["catalog_id", "image_id"],
        sqlite_where=sa.text("label IS NULL"),
        postgresql_where=sa.text("label IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("images_unread", "images")
    drop_columns("images", "label")
