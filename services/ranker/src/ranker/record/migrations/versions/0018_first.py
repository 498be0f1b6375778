"""The schema of release 0.30, from which a store is upgraded."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import (
    caller_of_job,
    create_audit,
    create_jobs,
    flags,
    keys,
    numbers,
    sequence,
    texts,
)

revision, down_revision = "0018", None

_OF_MODEL = ["catalog_id", "version"], ["models.catalog_id", "models.version"]


def upgrade() -> None:
    """Create all tables."""
    create_jobs()
    op.add_column("jobs", caller_of_job())
    create_audit()
    op.create_table("leases", *keys("name"), *texts("owner"), *numbers("lease_until"))
    _events()
    _answers()
    _models()
    _shoppers()
    _counts()


def _given(name: str, kind: Any, default: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=default)


def _index(table: str, name: str, columns: Sequence[str], where: str = "") -> None:
    given: Any = {f"{each}_where": sa.text(where) for each in ("sqlite", "postgresql") if where}
    op.create_index(f"{table}_{name}", table, ["catalog_id", *columns], **given)


def _events() -> None:
    op.create_table(
        "events",
        sequence(),
        *texts("catalog_id", "event_id"),
        *texts("digest", kind=sa.LargeBinary),
        *texts("key_id", "actor", "session", "type", "kind", "product_id"),
        *numbers("time_micros", "received_micros"),
        sa.Column("value", sa.Double),
        *numbers("quantity", kind=sa.Integer),
        sa.Column("unit_price_micros", sa.BigInteger),
        *texts("unit_price_currency", "order_id"),
        *numbers("position", kind=sa.Integer),
        *texts("scene", "attribution_token", "query"),
        _given("answer_id", sa.Text, ""),
        _given("sample_share", sa.Double, "1.0"),
        _given("arm", sa.Text, ""),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("catalog_id", "event_id", name="events_id"),
        sqlite_autoincrement=True,
    )
    _index("events", "history", ["actor", "kind", "time_micros", "sequence"])
    _index("events", "timeline", ["actor", "time_micros", "sequence"])
    _index("events", "age", ["type", "time_micros"])
    _index("events", "product", ["product_id"], "kind = 'INTEREST' AND product_id > ''")
    counted = ["answer_id", "product_id", "type", "time_micros", "sample_share", "position"]
    _index("events", "answer", counted, "answer_id <> ''")
    _index("events", "arm", ["arm", "type", "time_micros", "actor"], "arm <> ''")
    op.create_table(
        "popularity", *keys("catalog_id", "product_id"), *numbers("log_count", kind=sa.Double)
    )
    _index("popularity", "order", ["log_count"])


def _answers() -> None:
    op.create_table(
        "answers",
        *keys("catalog_id", "answer_id"),
        *texts("actor", "key_id"),
        *texts("content", kind=sa.LargeBinary),
        *numbers("expires_micros"),
        _given("answer_micros", sa.BigInteger, "0"),
        *(_given(name, sa.Text, "") for name in ("model_version", "scene", "arms")),
        sa.Column("photo", sa.LargeBinary),
        _given("photo_space", sa.Text, ""),
    )
    op.create_index("answers_expiry", "answers", ["expires_micros"])
    _index("answers", "actor", ["actor"])
    _index("answers", "time", ["answer_micros"])
    _index("answers", "photo", ["photo_space", "actor"], "photo_space <> ''")
    op.create_table("health", *keys("catalog_id"), *numbers("computed_micros"), *texts("content"))
    op.create_table(
        "experiments",
        *keys("catalog_id", "name"),
        *numbers("start_micros"),
        *texts("content", kind=sa.LargeBinary),
    )
    op.create_table(
        "control_exposures",
        *keys("catalog_id"),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        *keys("name"),
        *numbers("exposures"),
    )


def _models() -> None:
    op.create_table(
        "models",
        *keys("catalog_id", "version"),
        *texts("manifest_sha256"),
        *numbers("trained_micros", "event_count", "shopper_count", "product_count"),
        *numbers("first_event_micros", "last_event_micros"),
        *texts("metrics"),
        sa.Column("promoted_micros", sa.BigInteger),
        _given("forced", sa.Boolean, sa.false()),
        sa.Column("pruned_micros", sa.BigInteger),
        _given("training", sa.Text, "{}"),
    )
    op.create_table(
        "promotions",
        *keys("catalog_id"),
        *texts("version"),
        sa.ForeignKeyConstraint(*_OF_MODEL),
    )
    op.create_table(
        "promotion_log",
        sequence(),
        *texts("catalog_id", "version"),
        *numbers("promoted_micros"),
        sa.Column("undone_micros", sa.BigInteger),
        _given("forced", sa.Boolean, sa.false()),
        _given("verdict", sa.Text, ""),
        sa.ForeignKeyConstraint(*_OF_MODEL),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    _index("promotion_log", "order", ["sequence"])
    op.create_table(
        "evaluations",
        *keys("catalog_id", "version"),
        *texts("verdict", "summary", "production", "content"),
        *numbers("evaluated_micros"),
        sa.ForeignKeyConstraint(*_OF_MODEL),
    )


def _shoppers() -> None:
    op.create_table("keys", *keys("key_id"), *texts("fingerprint"))
    op.create_table(
        "aliases",
        *keys("catalog_id", "visitor"),
        *texts("actor", "key_id"),
        *numbers("merged_micros"),
    )
    op.create_table(
        "attributes",
        *keys("catalog_id", "actor", "key"),
        *texts("value", "key_id"),
        *numbers("consent_micros"),
    )
    op.create_table(
        "erasures",
        *keys("catalog_id", "person"),
        *numbers("requested_micros", "completed_micros"),
        *texts("job_id", "receipt"),
    )
    _index("erasures", "time", ["requested_micros"])
    op.create_table(
        "consents",
        sequence(),
        *texts("catalog_id", "actor", "purpose", "source", "key_id"),
        *numbers("decided_micros"),
        *flags("granted", "latest"),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    _index("consents", "actor", ["actor"])
    _index("consents", "purpose", ["purpose", "actor"])
    _index("consents", "key", ["key_id"])
    op.create_table(
        "data_keys",
        *keys("key_id"),
        *texts("wrapped", kind=sa.LargeBinary),
        *texts("wrapped_with"),
        *numbers("created_micros"),
        *flags("complete"),
    )
    op.create_table(
        "privacy_budget",
        *keys("catalog_id", "key"),
        *numbers("spent_micros"),
        *numbers("epsilon", "delta", kind=sa.Double),
        *texts("text"),
    )
    _index("privacy_budget", "time", ["spent_micros"])


def _counts() -> None:
    op.create_table(
        "count_queue",
        sequence(),
        *texts("catalog_id", "units"),
        *numbers("created_micros"),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    _index("count_queue", "oldest", ["sequence"])
    op.create_table(
        "count_units",
        *keys("catalog_id", "actor"),
        *keys("day", kind=sa.BigInteger),
        *texts("bought", "content"),
    )
    pair = ("kind", "product_id")
    op.create_table("count_pairs", *keys("catalog_id", *pair, "other_id"), *numbers("count"))
    _index("count_pairs", "order", [*pair, "count", "other_id"])
    op.create_table(
        "count_days",
        *keys("catalog_id", "product_id", "segment"),
        *texts("days", kind=sa.LargeBinary),
    )
    op.create_table(
        "count_rates",
        *keys("catalog_id", "product_id", "segment", "grp"),
        *numbers("log_short", "log_long", "log_sold", kind=sa.Double),
    )
    for name in ("short", "sold"):
        _index("count_rates", name, ["segment", "grp", f"log_{name}", "product_id"])
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
    _index("count_products", "age", ["read_micros"])
