"""Scenes of catalogs in the record, and what steers a catalog.

The previous release leaves both columns as they are: to it every catalog is steered by files.
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import numbers, texts

revision, down_revision = "0030", "0029"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by code point."""


def upgrade() -> None:
    op.add_column("catalogs", sa.Column("steered_by", TEXT, nullable=False, server_default="files"))
    op.add_column(
        "catalogs", sa.Column("scenes_commit", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_table(
        "scene_texts",
        *texts("catalog_id", "scene", kind=TEXT),
        *numbers("number"),
        *texts("toml", "version", "author", "comment", kind=TEXT),
        *numbers("create_time"),
        sa.PrimaryKeyConstraint("catalog_id", "scene", "number"),
    )


def downgrade() -> None:
    op.drop_table("scene_texts")
    op.drop_column("catalogs", "steered_by")
    op.drop_column("catalogs", "scenes_commit")
