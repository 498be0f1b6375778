"""Vectors of photos that shoppers searched with.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the columns, and the index of answers with a vector."""
    op.add_column("answers", sa.Column("photo", sa.LargeBinary))
    op.add_column("answers", sa.Column("photo_space", sa.Text, nullable=False, server_default=""))
    op.create_index(
        "answers_photo",
        "answers",
        ["catalog_id", "photo_space", "actor"],
        sqlite_where=sa.text("photo_space <> ''"),
        postgresql_where=sa.text("photo_space <> ''"),
    )


def downgrade() -> None:
    op.drop_index("answers_photo", "answers")
    with op.batch_alter_table("answers") as table:
        table.drop_column("photo_space")
        table.drop_column("photo")
