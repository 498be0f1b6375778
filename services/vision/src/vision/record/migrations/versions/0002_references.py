"""References of good pieces, their photos and files.

The previous release has no references here.
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import STORABLE_TEXT, numbers, texts

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.create_table(
        "reference_photos",
        *texts("catalog_id", "reference_id", "photo", "file", kind=STORABLE_TEXT),
        *numbers("add_time"),
        sa.PrimaryKeyConstraint("catalog_id", "reference_id", "photo"),
    )
    op.create_table(
        "reference_versions",
        *texts("catalog_id", "reference_id", "version", kind=STORABLE_TEXT),
        *texts("product_id", "state", "file", "body", kind=STORABLE_TEXT),
        *numbers("create_time", "promote_time"),
        sa.PrimaryKeyConstraint("catalog_id", "reference_id", "version"),
    )
    op.create_index(
        "reference_versions_product", "reference_versions", ["catalog_id", "product_id", "state"]
    )
    op.create_table(
        "moved_references",
        *texts("catalog_id", kind=STORABLE_TEXT),
        *numbers("time"),
        sa.PrimaryKeyConstraint("catalog_id"),
    )


def downgrade() -> None:
    for table in ("moved_references", "reference_versions", "reference_photos"):
        op.drop_table(table)
