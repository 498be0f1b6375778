"""The first schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "answers",
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("answer_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("expires_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "answer_id"),
    )
    op.create_index("answers_actor", "answers", ["catalog_id", "actor"], unique=False)
    op.create_index("answers_expiry", "answers", ["expires_micros"], unique=False)
    op.create_table(
        "events",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("time_micros", sa.BigInteger(), nullable=False),
        sa.Column("received_micros", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_micros", sa.BigInteger(), nullable=True),
        sa.Column("unit_price_currency", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("attribution_token", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("catalog_id", "event_id", name="events_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "events_history",
        "events",
        ["catalog_id", "actor", "kind", "time_micros", "sequence"],
        unique=False,
    )
    op.create_index(
        "events_timeline",
        "events",
        ["catalog_id", "actor", "time_micros", "sequence"],
        unique=False,
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
    op.create_index("jobs_open", "jobs", ["state", "kind"], unique=False)
    op.create_table(
        "keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "models",
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("manifest_sha256", sa.Text(), nullable=False),
        sa.Column("trained_micros", sa.BigInteger(), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("shopper_count", sa.BigInteger(), nullable=False),
        sa.Column("product_count", sa.BigInteger(), nullable=False),
        sa.Column("first_event_micros", sa.BigInteger(), nullable=False),
        sa.Column("last_event_micros", sa.BigInteger(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("promoted_micros", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("catalog_id", "version"),
    )
    op.create_table(
        "popularity",
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("log_count", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    op.create_index("popularity_order", "popularity", ["catalog_id", "log_count"], unique=False)
    op.create_table(
        "promotions",
        sa.Column("catalog_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalog_id", "version"],
            ["models.catalog_id", "models.version"],
        ),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
