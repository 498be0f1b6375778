"""The first schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import create_jobs, numbers, sequence, texts

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "answers",
        *texts("catalog_id", "answer_id", "actor", "key_id"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        *numbers("expires_micros"),
        sa.PrimaryKeyConstraint("catalog_id", "answer_id"),
    )
    op.create_index("answers_actor", "answers", ["catalog_id", "actor"], unique=False)
    op.create_index("answers_expiry", "answers", ["expires_micros"], unique=False)
    op.create_table(
        "events",
        sequence(),
        *texts("catalog_id", "event_id"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *texts("key_id", "actor", "session", "type", "kind", "product_id"),
        *numbers("time_micros", "received_micros"),
        sa.Column("value", sa.Double(), nullable=True),
        *numbers("quantity", kind=sa.Integer),
        sa.Column("unit_price_micros", sa.BigInteger(), nullable=True),
        *texts("unit_price_currency", "order_id"),
        *numbers("position", kind=sa.Integer),
        *texts("scene", "attribution_token", "query"),
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
    create_jobs()
    op.create_table(
        "keys",
        *texts("key_id", "fingerprint"),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "models",
        *texts("catalog_id", "version", "manifest_sha256"),
        *numbers(
            "trained_micros",
            "event_count",
            "shopper_count",
            "product_count",
            "first_event_micros",
            "last_event_micros",
        ),
        *texts("metrics"),
        sa.Column("promoted_micros", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("catalog_id", "version"),
    )
    op.create_table(
        "popularity",
        *texts("catalog_id", "product_id"),
        *numbers("log_count", kind=sa.Double),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    op.create_index("popularity_order", "popularity", ["catalog_id", "log_count"], unique=False)
    op.create_table(
        "promotions",
        *texts("catalog_id", "version"),
        sa.ForeignKeyConstraint(
            ["catalog_id", "version"],
            ["models.catalog_id", "models.version"],
        ),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
