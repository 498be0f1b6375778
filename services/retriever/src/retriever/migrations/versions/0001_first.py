"""Products, photos, vectors, generations, outbox, pending photos, jobs and leases."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorts by code point."""


def upgrade() -> None:
    op.create_table(
        "generations",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("space", TEXT, nullable=False),
        sa.Column(
            "space_version",
            TEXT,
            nullable=False,
        ),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("metric", TEXT, nullable=False),
        sa.Column(
            "collection",
            TEXT,
            nullable=False,
        ),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("applied_seq", sa.BigInteger(), nullable=False),
        sa.Column("applied_time", sa.BigInteger(), nullable=False),
        sa.Column("check_wanted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "name"),
    )
    op.create_table(
        "images",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("image_id", TEXT, nullable=False),
        sa.Column(
            "media_type",
            TEXT,
            nullable=False,
        ),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "image_id"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("error_reason", sa.Text(), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("created_time", sa.BigInteger(), nullable=False),
        sa.Column("started_time", sa.BigInteger(), nullable=False),
        sa.Column("finished_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "catalog_id", "request_id", name="jobs_request"),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("jobs_open", ["state", "kind"], unique=False)

    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column(
            "product_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("write_seq", sa.BigInteger(), nullable=False),
        sa.Column("removed", TEXT, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "seq", "product_id"),
    )
    op.create_table(
        "pending",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("space", TEXT, nullable=False),
        sa.Column(
            "space_version",
            TEXT,
            nullable=False,
        ),
        sa.Column("image_id", TEXT, nullable=False),
        sa.Column("write_seq", sa.BigInteger(), nullable=False),
        sa.Column("write_time", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version", "image_id"),
    )
    with op.batch_alter_table("pending", schema=None) as batch_op:
        batch_op.create_index(
            "pending_due",
            ["catalog_id", "space", "space_version", "failed", "next_attempt"],
            unique=False,
        )
        batch_op.create_index(
            "pending_first",
            ["catalog_id", "space", "space_version", "failed", "write_seq"],
            unique=False,
        )

    op.create_table(
        "products",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column(
            "product_id",
            TEXT,
            nullable=False,
        ),
        sa.Column(
            "parent_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("title", TEXT, nullable=False),
        sa.Column(
            "description",
            TEXT,
            nullable=False,
        ),
        sa.Column("category", TEXT, nullable=False),
        sa.Column("brand", TEXT, nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=True),
        sa.Column("currency", TEXT, nullable=True),
        sa.Column(
            "availability",
            TEXT,
            nullable=False,
        ),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column(
            "attributes",
            TEXT,
            nullable=False,
        ),
        sa.Column(
            "language_code",
            TEXT,
            nullable=False,
        ),
        sa.Column("uri", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("etag", TEXT, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.create_index(
            "products_newest", ["catalog_id", "create_time", "product_id"], unique=False
        )

    op.create_table(
        "sequences",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
    op.create_table(
        "vectors",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("space", TEXT, nullable=False),
        sa.Column(
            "space_version",
            TEXT,
            nullable=False,
        ),
        sa.Column("image_id", TEXT, nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version", "image_id"),
    )
    op.create_table(
        "product_images",
        sa.Column(
            "catalog_id",
            TEXT,
            nullable=False,
        ),
        sa.Column(
            "product_id",
            TEXT,
            nullable=False,
        ),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("image_id", TEXT, nullable=False),
        sa.Column("row_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id", "image_id"],
            ["images.catalog_id", "images.image_id"],
        ),
        sa.ForeignKeyConstraint(
            ["catalog_id", "product_id"],
            ["products.catalog_id", "products.product_id"],
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("catalog_id", "product_id", "position"),
    )
    with op.batch_alter_table("product_images", schema=None) as batch_op:
        batch_op.create_index("product_images_image", ["catalog_id", "image_id"], unique=False)
        batch_op.create_index("product_images_row", ["catalog_id", "row_id"], unique=True)


def downgrade() -> None:
    with op.batch_alter_table("product_images", schema=None) as batch_op:
        batch_op.drop_index("product_images_row")
        batch_op.drop_index("product_images_image")

    op.drop_table("product_images")
    op.drop_table("vectors")
    op.drop_table("sequences")
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.drop_index("products_newest")

    op.drop_table("products")
    with op.batch_alter_table("pending", schema=None) as batch_op:
        batch_op.drop_index("pending_first")
        batch_op.drop_index("pending_due")

    op.drop_table("pending")
    op.drop_table("outbox")
    op.drop_table("leases")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index("jobs_open")

    op.drop_table("jobs")
    op.drop_table("images")
    op.drop_table("generations")
