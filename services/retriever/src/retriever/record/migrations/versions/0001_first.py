"""Products, photos, vectors, generations, outbox, pending photos, jobs and leases."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, of_product, texts
from servicekit.sql.schema import create_jobs, flags, numbers

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "generations",
        *texts("catalog_id", "name", "space", "space_version"),
        *numbers("dimension", kind=sa.Integer),
        *texts("metric", "collection", "state"),
        *flags("active"),
        *numbers("created", "applied_seq", "applied_time"),
        *flags("check_wanted"),
        sa.PrimaryKeyConstraint("catalog_id", "name"),
    )
    op.create_table(
        "images",
        *texts("catalog_id", "image_id", "media_type"),
        *numbers("size"),
        *numbers("width", "height", kind=sa.Integer),
        *numbers("create_time"),
        sa.PrimaryKeyConstraint("catalog_id", "image_id"),
    )
    create_jobs()
    op.create_table(
        "leases",
        *texts("name", "owner", kind=sa.Text()),
        *numbers("lease_until"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "outbox",
        *texts("catalog_id"),
        *numbers("seq"),
        *texts("product_id"),
        *numbers("write_seq"),
        *texts("removed"),
        *numbers("time"),
        sa.PrimaryKeyConstraint("catalog_id", "seq", "product_id"),
    )
    version = ["catalog_id", "space", "space_version"]
    op.create_table(
        "pending",
        *texts(*version, "image_id"),
        *numbers("write_seq", "write_time"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("reason"),
        *flags("failed"),
        sa.PrimaryKeyConstraint(*version, "image_id"),
    )
    op.create_index("pending_due", "pending", [*version, "failed", "next_attempt"])
    op.create_index("pending_first", "pending", [*version, "failed", "write_seq"])
    op.create_table(
        "products",
        *texts("catalog_id", "product_id", "parent_id"),
        *texts("title", "description", "category", "brand"),
        sa.Column("price_micros", sa.BigInteger(), nullable=True),
        sa.Column("currency", TEXT, nullable=True),
        *texts("availability", "tags", "attributes", "language_code", "uri"),
        *numbers("create_time", "update_time"),
        *texts("etag"),
        *numbers("seq"),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    op.create_index("products_newest", "products", ["catalog_id", "create_time", "product_id"])
    op.create_table(
        "sequences",
        *texts("catalog_id"),
        *numbers("seq", "time"),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
    op.create_table(
        "vectors",
        *texts(*version, "image_id"),
        *numbers("dimension", kind=sa.Integer),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        *numbers("seq"),
        sa.PrimaryKeyConstraint(*version, "image_id"),
    )
    op.create_table(
        "product_images",
        *texts("catalog_id", "product_id"),
        *numbers("position", kind=sa.Integer),
        *texts("image_id", "row_id"),
        sa.ForeignKeyConstraint(
            ["catalog_id", "image_id"], ["images.catalog_id", "images.image_id"]
        ),
        of_product(),
        sa.PrimaryKeyConstraint("catalog_id", "product_id", "position"),
    )
    op.create_index("product_images_image", "product_images", ["catalog_id", "image_id"])
    op.create_index("product_images_row", "product_images", ["catalog_id", "row_id"], unique=True)
