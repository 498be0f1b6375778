"""Photos that contradict the categories of their products."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, of_product, texts
from servicekit.sql.schema import numbers

revision = "0011"
down_revision = "0010"

KEY = ("catalog_id", "product_id", "image_id")


def upgrade() -> None:
    op.create_table(
        "doubts",
        *(sa.Column(name, TEXT, primary_key=True) for name in KEY),
        *texts("category", "instead", "space_version"),
        *numbers("probability", "instead_probability", kind=sa.Double),
        of_product(),
    )
    op.create_index("doubts_image", "doubts", ["catalog_id", "image_id"])


def downgrade() -> None:
    op.drop_table("doubts")
