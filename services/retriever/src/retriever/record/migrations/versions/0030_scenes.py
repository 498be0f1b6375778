"""Scenes of catalogs in the record, and what steers a catalog.

The previous release leaves both columns as they are: to it every catalog is steered by files.
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, drop_columns, texts
from servicekit.sql.schema import numbers

revision, down_revision = "0030", "0029"


def upgrade() -> None:
    op.add_column("catalogs", sa.Column("steered_by", TEXT, nullable=False, server_default="files"))
    op.add_column(
        "catalogs", sa.Column("scenes_commit", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_table(
        "scene_texts",
        *texts("catalog_id", "scene"),
        *numbers("number"),
        *texts("toml", "version", "author", "comment"),
        *numbers("create_time"),
        sa.PrimaryKeyConstraint("catalog_id", "scene", "number"),
    )


def downgrade() -> None:
    op.drop_table("scene_texts")
    drop_columns("catalogs", "steered_by", "scenes_commit")
