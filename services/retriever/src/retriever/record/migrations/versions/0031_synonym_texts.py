"""Drafts and versions of synonyms, and the time for which a version is planned.

The previous release leaves the column NULL; the rules that it stores are in `synonyms`, which tells
the rules in use to both releases.
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import numbers, texts

revision, down_revision = "0031", "0030"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by code point."""


def upgrade() -> None:
    op.add_column("scene_texts", sa.Column("planned_time", sa.BigInteger()))
    op.create_table(
        "synonym_texts",
        *texts("catalog_id", "scene", kind=TEXT),
        *numbers("number"),
        *texts("toml", "version", "author", "comment", kind=TEXT),
        *numbers("create_time"),
        sa.Column("planned_time", sa.BigInteger()),
        sa.PrimaryKeyConstraint("catalog_id", "scene", "number"),
    )


def downgrade() -> None:
    op.drop_table("synonym_texts")
    op.drop_column("scene_texts", "planned_time")
