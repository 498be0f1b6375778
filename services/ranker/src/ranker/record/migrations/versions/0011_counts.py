"""Counts for recommendations without a model.

Revision ID: 0011
Revises: 0010
"""

import itertools
import json
import time

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import keys, numbers, sequence, texts

revision = "0011"
down_revision = "0010"

DAY_MICROS = 86_400_000_000
CHUNK = 100


def upgrade() -> None:
    """Create the tables, and queue the existing events for counting."""
    op.create_table(
        "count_queue",
        sequence(),
        *texts("catalog_id", "units"),
        *numbers("created_micros"),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index("count_queue_oldest", "count_queue", ["catalog_id", "sequence"])
    op.create_table(
        "count_units",
        *keys("catalog_id", "actor"),
        *keys("day", kind=sa.BigInteger),
        *texts("bought", "content"),
    )
    pair = ("catalog_id", "kind", "product_id")
    op.create_table("count_pairs", *keys(*pair, "other_id"), *numbers("count"))
    op.create_index("count_pairs_order", "count_pairs", [*pair, "count", "other_id"])
    op.create_table(
        "count_days",
        *keys("catalog_id", "product_id", "segment"),
        *texts("days", kind=sa.LargeBinary),
    )
    logs = ("log_short", "log_long", "log_sold")
    op.create_table(
        "count_rates",
        *keys("catalog_id", "product_id", "segment", "grp"),
        *numbers(*logs, kind=sa.Double),
    )
    for name in ("short", "sold"):
        ordered = ["catalog_id", "segment", "grp", f"log_{name}", "product_id"]
        op.create_index(f"count_rates_{name}", "count_rates", ordered)
    op.create_table(
        "count_gaps",
        *keys("catalog_id", "product_id"),
        *keys("gap", kind=sa.Integer),
        *numbers("count"),
    )
    op.create_table(
        "count_products",
        *keys("catalog_id", "product_id"),
        *texts("groups"),
        *numbers("read_micros"),
    )
    op.create_index("count_products_age", "count_products", ["catalog_id", "read_micros"])
    _queue_what_is_there()


def _queue_what_is_there() -> None:
    connection = op.get_bind()
    asked = sa.text(
        f"SELECT DISTINCT catalog_id, actor, time_micros / {DAY_MICROS} FROM events"  # noqa: S608
        " WHERE kind = 'INTEREST' AND product_id > '' ORDER BY 1, 3, 2"
    )
    rows, now = connection.execute(asked).all(), time.time_ns() // 1000
    for catalog_id, group in itertools.groupby(rows, key=lambda row: row[0]):
        # Before 1970 the quotient is rounded up and may name a day without events, which counts
        # nothing.
        units = [[actor, one] for _, actor, day in group for one in {day, day - (day <= 0)}]
        connection.execute(
            sa.text(
                "INSERT INTO count_queue (catalog_id, units, created_micros)"
                " VALUES (:catalog_id, :units, :now)"
            ),
            [
                {
                    "catalog_id": catalog_id,
                    "units": json.dumps(units[start : start + CHUNK]),
                    "now": now,
                }
                for start in range(0, len(units), CHUNK)
            ],
        )


def downgrade() -> None:
    for name in ("queue", "units", "pairs", "days", "rates", "gaps", "products"):
        op.drop_table(f"count_{name}")
