"""All tables, as release 0.30 made them."""

import sqlalchemy as sa
from alembic import op

from tests.fakes.first_tables.columns import (
    create_audit,
    create_jobs,
    flags,
    given,
    index,
    numbers,
    sequence,
    texts,
)

revision, down_revision = "0018", None


def upgrade() -> None:
    """Create them."""
    create_jobs()
    create_audit()
    _create_events()
    _create_counts()
    _create_models()


def _create_events() -> None:
    op.create_table(
        "events",
        sequence(),
        *texts("catalog_id", "event_id"),
        *numbers("digest", kind=sa.LargeBinary),
        *texts("key_id", "actor", "session", "type", "kind", "product_id"),
        *numbers("time_micros", "received_micros"),
        sa.Column("value", sa.Double),
        *numbers("quantity", kind=sa.Integer),
        sa.Column("unit_price_micros", sa.BigInteger),
        *texts("unit_price_currency", "order_id"),
        *numbers("position", kind=sa.Integer),
        *texts("scene", "attribution_token", "query"),
        given("answer_id", sa.Text, ""),
        given("sample_share", sa.Double, "1.0"),
        given("arm", sa.Text, ""),
        sa.UniqueConstraint("catalog_id", "event_id", name="events_id"),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    index("events_age", "events", "catalog_id", "type", "time_micros")
    index(
        "events_answer",
        "events",
        "catalog_id",
        "answer_id",
        "product_id",
        "type",
        "time_micros",
        "sample_share",
        "position",
        where="answer_id <> ''",
    )
    index(
        "events_arm",
        "events",
        "catalog_id",
        "arm",
        "type",
        "time_micros",
        "actor",
        where="arm <> ''",
    )
    index("events_history", "events", "catalog_id", "actor", "kind", "time_micros", "sequence")
    index(
        "events_product",
        "events",
        "catalog_id",
        "product_id",
        where="kind = 'INTEREST' AND product_id > ''",
    )
    index("events_timeline", "events", "catalog_id", "actor", "time_micros", "sequence")
    op.create_table(
        "aliases",
        *texts("catalog_id", "visitor", "actor", "key_id"),
        *numbers("merged_micros"),
        sa.PrimaryKeyConstraint("catalog_id", "visitor"),
    )
    op.create_table("keys", *texts("key_id", "fingerprint"), sa.PrimaryKeyConstraint("key_id"))
    op.create_table(
        "attributes",
        *texts("catalog_id", "actor", "key", "value", "key_id"),
        *numbers("consent_micros"),
        sa.PrimaryKeyConstraint("catalog_id", "actor", "key"),
    )
    op.create_table(
        "consents",
        sequence(),
        *texts("catalog_id", "actor", "purpose", "source", "key_id"),
        *numbers("decided_micros"),
        *flags("granted", "latest"),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    index("consents_actor", "consents", "catalog_id", "actor")
    index("consents_key", "consents", "catalog_id", "key_id")
    index("consents_purpose", "consents", "catalog_id", "purpose", "actor")
    op.create_table(
        "data_keys",
        *texts("key_id"),
        *numbers("wrapped", kind=sa.LargeBinary),
        *texts("wrapped_with"),
        *numbers("created_micros"),
        *flags("complete"),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "erasures",
        *texts("catalog_id", "person"),
        *numbers("requested_micros", "completed_micros"),
        *texts("job_id", "receipt"),
        sa.PrimaryKeyConstraint("catalog_id", "person"),
    )
    index("erasures_time", "erasures", "catalog_id", "requested_micros")
    op.create_table(
        "privacy_budget",
        *texts("catalog_id", "key"),
        *numbers("spent_micros"),
        *numbers("epsilon", "delta", kind=sa.Double),
        *texts("text"),
        sa.PrimaryKeyConstraint("catalog_id", "key"),
    )
    index("privacy_budget_time", "privacy_budget", "catalog_id", "spent_micros")
    op.create_table(
        "leases", *texts("name", "owner"), *numbers("lease_until"), sa.PrimaryKeyConstraint("name")
    )


def _create_counts() -> None:
    op.create_table(
        "popularity",
        *texts("catalog_id", "product_id"),
        *numbers("log_count", kind=sa.Double),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    index("popularity_order", "popularity", "catalog_id", "log_count")
    op.create_table(
        "count_queue",
        sequence(),
        *texts("catalog_id", "units"),
        *numbers("created_micros"),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    index("count_queue_oldest", "count_queue", "catalog_id", "sequence")
    op.create_table(
        "count_units",
        *texts("catalog_id", "actor"),
        *numbers("day"),
        *texts("bought", "content"),
        sa.PrimaryKeyConstraint("catalog_id", "actor", "day"),
    )
    op.create_table(
        "count_pairs",
        *texts("catalog_id", "kind", "product_id", "other_id"),
        *numbers("count"),
        sa.PrimaryKeyConstraint("catalog_id", "kind", "product_id", "other_id"),
    )
    index(
        "count_pairs_order", "count_pairs", "catalog_id", "kind", "product_id", "count", "other_id"
    )
    op.create_table(
        "count_days",
        *texts("catalog_id", "product_id", "segment"),
        *numbers("days", kind=sa.LargeBinary),
        sa.PrimaryKeyConstraint("catalog_id", "product_id", "segment"),
    )
    op.create_table(
        "count_rates",
        *texts("catalog_id", "product_id", "segment", "grp"),
        *numbers("log_short", "log_long", "log_sold", kind=sa.Double),
        sa.PrimaryKeyConstraint("catalog_id", "product_id", "segment", "grp"),
    )
    index(
        "count_rates_short",
        "count_rates",
        "catalog_id",
        "segment",
        "grp",
        "log_short",
        "product_id",
    )
    index(
        "count_rates_sold", "count_rates", "catalog_id", "segment", "grp", "log_sold", "product_id"
    )
    op.create_table(
        "count_gaps",
        *texts("catalog_id", "product_id"),
        *numbers("gap", kind=sa.Integer),
        *numbers("count"),
        sa.PrimaryKeyConstraint("catalog_id", "product_id", "gap"),
    )
    op.create_table(
        "count_products",
        *texts("catalog_id", "product_id", "groups"),
        *numbers("read_micros"),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    index("count_products_age", "count_products", "catalog_id", "read_micros")


def _create_models() -> None:
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
        sa.Column("promoted_micros", sa.BigInteger),
        given("forced", sa.Boolean, sa.false()),
        sa.Column("pruned_micros", sa.BigInteger),
        given("training", sa.Text, "{}"),
        sa.PrimaryKeyConstraint("catalog_id", "version"),
    )
    op.create_table(
        "promotions",
        *texts("catalog_id", "version"),
        sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
    op.create_table(
        "promotion_log",
        sequence(),
        *texts("catalog_id", "version"),
        *numbers("promoted_micros"),
        sa.Column("undone_micros", sa.BigInteger),
        given("forced", sa.Boolean, sa.false()),
        given("verdict", sa.Text, ""),
        sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    index("promotion_log_order", "promotion_log", "catalog_id", "sequence")
    op.create_table(
        "evaluations",
        *texts("catalog_id", "version", "verdict", "summary", "production", "content"),
        *numbers("evaluated_micros"),
        sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
        sa.PrimaryKeyConstraint("catalog_id", "version"),
    )
    op.create_table(
        "health",
        *texts("catalog_id"),
        *numbers("computed_micros"),
        *texts("content"),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
    op.create_table(
        "answers",
        *texts("catalog_id", "answer_id", "actor", "key_id"),
        *numbers("content", kind=sa.LargeBinary),
        *numbers("expires_micros"),
        given("answer_micros", sa.BigInteger, "0"),
        given("model_version", sa.Text, ""),
        given("scene", sa.Text, ""),
        given("arms", sa.Text, ""),
        sa.Column("photo", sa.LargeBinary),
        given("photo_space", sa.Text, ""),
        sa.PrimaryKeyConstraint("catalog_id", "answer_id"),
    )
    index("answers_actor", "answers", "catalog_id", "actor")
    index("answers_expiry", "answers", "expires_micros")
    index(
        "answers_photo", "answers", "catalog_id", "photo_space", "actor", where="photo_space <> ''"
    )
    index("answers_time", "answers", "catalog_id", "answer_micros")
    op.create_table(
        "control_exposures",
        *texts("catalog_id"),
        *numbers("day", kind=sa.Integer),
        *texts("name"),
        *numbers("exposures"),
        sa.PrimaryKeyConstraint("catalog_id", "day", "name"),
    )
    op.create_table(
        "experiments",
        *texts("catalog_id", "name"),
        *numbers("start_micros"),
        *numbers("content", kind=sa.LargeBinary),
        sa.PrimaryKeyConstraint("catalog_id", "name"),
    )
