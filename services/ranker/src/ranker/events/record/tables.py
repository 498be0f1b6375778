"""The schema. Times are microseconds since 1970 (UTC); people appear as pseudonyms only."""

import sqlalchemy as sa

from servicekit.audit_record import audit_table, seals_table
from servicekit.jobs import jobs_table
from servicekit.schema import keys, numbers, texts

MIGRATIONS = "ranker.events.record.migrations"
CHECKPOINT_PAGES = 16_384
"""64 MiB: a batch of 1,000 events touches 20 MiB of pages in six indexes. With a million events
stored, 7,000 a second were written instead of 5,100 with SQLite's own 4 MiB (2026-11)."""
METADATA = sa.MetaData()

KIND_INTEREST, KIND_VISIBILITY, KIND_OTHER = "INTEREST", "VISIBILITY", "OTHER"
"""Values of `kind`: for or against a product; hide and unhide; all others."""

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
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
    # The answer that led here, as read out of the token; empty = none that is known.
    sa.Column("answer_id", sa.Text, nullable=False, server_default=""),
    # Of the answers' impressions, the share that was kept when this one was: it stands for 1/share.
    sa.Column("sample_share", sa.Double, nullable=False, server_default="1.0"),
    # The experiment's arm that made that answer, EXPERIMENT/ARM; empty = none did.
    sa.Column("arm", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("catalog_id", "event_id", name="events_id"),
    # A shopper's history is read in every request: newest first, without the impressions.
    sa.Index("events_history", "catalog_id", "actor", "kind", "time_micros", "sequence"),
    sa.Index("events_timeline", "catalog_id", "actor", "time_micros", "sequence"),
    # What a purge leaves of a product's popularity is summed anew from the events that count in it.
    # All have a product: to say so keeps the index to those who say it too. Histories, which are of
    # interest as well, were read through it, and with them the events of all shoppers.
    sa.Index(
        "events_product",
        "catalog_id",
        "product_id",
        sqlite_where=sa.text("kind = 'INTEREST' AND product_id > ''"),
        postgresql_where=sa.text("kind = 'INTEREST' AND product_id > ''"),
    ),
    # What answers led to is counted by answer, and out of the index alone: a report over 250,000
    # impressions took a quarter of the time, and writing such events 7% more.
    sa.Index(
        "events_answer",
        "catalog_id",
        "answer_id",
        "product_id",
        "type",
        "time_micros",
        "sample_share",
        "position",
        sqlite_where=sa.text("answer_id <> ''"),
        postgresql_where=sa.text("answer_id <> ''"),
    ),
    # Who was exposed to an arm.
    sa.Index(
        "events_arm",
        "catalog_id",
        "arm",
        "type",
        "time_micros",
        "actor",
        sqlite_where=sa.text("arm <> ''"),
        postgresql_where=sa.text("arm <> ''"),
    ),
    # What is too old to be kept, and impressions of a time, are found by it.
    sa.Index("events_age", "catalog_id", "type", "time_micros"),
    # AUTOINCREMENT: a sequence is never given twice, not even after a purge.
    sqlite_autoincrement=True,
)

POPULARITY = sa.Table(
    "popularity",
    METADATA,
    *keys("catalog_id", "product_id"),
    # Base-2 logarithm of the decayed count: the count itself would leave a float's range.
    *numbers("log_count", kind=sa.Double),
    sa.Index("popularity_order", "catalog_id", "log_count"),
)

ALIASES = sa.Table(
    "aliases",
    METADATA,
    *keys("catalog_id"),
    # Pseudonyms both: what the visitor does is the actor's.
    *keys("visitor"),
    *texts("actor", "key_id"),
    *numbers("merged_micros"),
)

ATTRIBUTES = sa.Table(
    "attributes",
    METADATA,
    *keys("catalog_id", "actor", "key"),
    *texts("value", "key_id"),
    # When the shopper's consent came with it.
    *numbers("consent_micros"),
)

ANSWERS = sa.Table(
    "answers",
    METADATA,
    *keys("catalog_id", "answer_id"),
    *texts("actor", "key_id"),
    *texts("content", kind=sa.LargeBinary),
    *numbers("expires_micros"),
    # What answers are counted by, so that no content is read for it.
    sa.Column("answer_micros", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("model_version", sa.Text, nullable=False, server_default=""),
    sa.Column("scene", sa.Text, nullable=False, server_default=""),
    # Names of arms, sorted, one a line.
    sa.Column("arms", sa.Text, nullable=False, server_default=""),
    sa.Index("answers_time", "catalog_id", "answer_micros"),
    sa.Index("answers_expiry", "expires_micros"),
    sa.Index("answers_actor", "catalog_id", "actor"),
)

EXPOSURES = sa.Table(
    "control_exposures",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    # Since 1970 (UTC), by when answers were served.
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    *numbers("exposures"),
)
"""In how many answers of a day each control acted."""

MODELS = sa.Table(
    "models",
    METADATA,
    *keys("catalog_id", "version"),
    *texts("manifest_sha256"),
    *numbers(
        "trained_micros",
        "event_count",
        "shopper_count",
        "product_count",
        "first_event_micros",
        "last_event_micros",
    ),
    *texts("metrics"),
    # What is said of its training, as JSON.
    sa.Column("training", sa.Text, nullable=False, server_default="{}"),
    sa.Column("promoted_micros", sa.BigInteger),
    # Of the last promotion.
    sa.Column("forced", sa.Boolean, nullable=False, server_default=sa.false()),
    # When its files were deleted; null = they are there.
    sa.Column("pruned_micros", sa.BigInteger),
)

EVALUATIONS = sa.Table(
    "evaluations",
    METADATA,
    *keys("catalog_id", "version"),
    *texts("verdict", "summary"),
    # The version that served then; empty = none.
    *texts("production"),
    # The whole report, as JSON.
    *texts("content"),
    *numbers("evaluated_micros"),
    sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
)

PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    *keys("catalog_id"),
    *texts("version"),
    sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
)

PROMOTION_LOG = sa.Table(
    "promotion_log",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    *texts("catalog_id", "version"),
    *numbers("promoted_micros"),
    # When a rollback took it back; null = it stands.
    sa.Column("undone_micros", sa.BigInteger),
    # Whether it was asked for whatever the evidence, and what that said; empty = not evaluated.
    sa.Column("forced", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("verdict", sa.Text, nullable=False, server_default=""),
    sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
    sa.Index("promotion_log_order", "catalog_id", "sequence"),
    sqlite_autoincrement=True,
)

HEALTH = sa.Table(
    "health",
    METADATA,
    *keys("catalog_id"),
    *numbers("computed_micros"),
    # What the worker computed last of a catalog's feedback, as JSON.
    *texts("content"),
)

COUNT_QUEUE = sa.Table(
    "count_queue",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    *texts("catalog_id"),
    # JSON: [[actor, day], …], the days of shoppers that are to be counted anew.
    *texts("units"),
    *numbers("created_micros"),
    sa.Index("count_queue_oldest", "catalog_id", "sequence"),
    sqlite_autoincrement=True,
)

COUNT_UNITS = sa.Table(
    "count_units",
    METADATA,
    *keys("catalog_id", "actor"),
    # Since 1970 (UTC), or before; counting.HABITS = what all days say together.
    *keys("day", kind=sa.BigInteger),
    # JSON: pieces by product, empty = none; and all that is counted of the day.
    *texts("bought", "content"),
)

COUNT_PAIRS = sa.Table(
    "count_pairs",
    METADATA,
    # A product beside itself: on how many days it stood beside any other; "" beside "": all days.
    *keys("catalog_id", "kind", "product_id", "other_id"),
    *numbers("count"),
    sa.Index("count_pairs_order", "catalog_id", "kind", "product_id", "count", "other_id"),
)

COUNT_DAYS = sa.Table(
    "count_days",
    METADATA,
    *keys("catalog_id", "product_id", "segment"),
    # Little-endian int32: day, shoppers, pieces; then those of the next day.
    *texts("days", kind=sa.LargeBinary),
)

COUNT_RATES = sa.Table(
    "count_rates",
    METADATA,
    *keys("catalog_id", "product_id", "segment", "grp"),
    # Base-2 logarithms of decayed counts; −∞ = none.
    *numbers("log_short", "log_long", "log_sold", kind=sa.Double),
    sa.Index("count_rates_short", "catalog_id", "segment", "grp", "log_short", "product_id"),
    sa.Index("count_rates_sold", "catalog_id", "segment", "grp", "log_sold", "product_id"),
)

COUNT_GAPS = sa.Table(
    "count_gaps",
    METADATA,
    # Quarter octaves of days between two purchases of a product; "" = of any.
    *keys("catalog_id", "product_id"),
    *keys("gap", kind=sa.Integer),
    *numbers("count"),
)

COUNT_PRODUCTS = sa.Table(
    "count_products",
    METADATA,
    *keys("catalog_id", "product_id"),
    # JSON: names of the groups that it is in, as its features are named.
    *texts("groups"),
    # When the retriever was asked; 0 = not yet.
    *numbers("read_micros"),
    sa.Index("count_products_age", "catalog_id", "read_micros"),
)

EXPERIMENTS = sa.Table(
    "experiments",
    METADATA,
    *keys("catalog_id", "name"),
    *numbers("start_micros"),
    # What it is, as the contract's message.
    *texts("content", kind=sa.LargeBinary),
)

KEYS = sa.Table(
    "keys",
    METADATA,
    *keys("key_id"),
    *texts("fingerprint"),
)

JOBS = jobs_table(METADATA)
AUDIT = audit_table(METADATA)
AUDIT_SEALS = seals_table(METADATA)
