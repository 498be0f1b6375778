"""The schema. Times are microseconds since 1970 (UTC); people appear as pseudonyms only."""

import sqlalchemy as sa

from servicekit.jobs import jobs_table

MIGRATIONS = "ranker.migrations"
CHECKPOINT_PAGES = 16_384
"""64 MiB: a batch of 1,000 events touches 20 MiB of pages in six indexes. With a million events
stored, 7,000 a second were written instead of 5,100 with SQLite's own 4 MiB (2026-11)."""
METADATA = sa.MetaData()

KIND_INTEREST, KIND_VISIBILITY, KIND_OTHER = "INTEREST", "VISIBILITY", "OTHER"
"""What `kind` tells apart: for or against a product; hide and unhide; the rest."""

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("catalog_id", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("session", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("product_id", sa.Text, nullable=False),
    sa.Column("time_micros", sa.BigInteger, nullable=False),
    sa.Column("received_micros", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("unit_price_micros", sa.BigInteger),
    sa.Column("unit_price_currency", sa.Text, nullable=False),
    sa.Column("order_id", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("scene", sa.Text, nullable=False),
    sa.Column("attribution_token", sa.Text, nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    # The answer that led here, as read out of the token; empty = none that is known.
    sa.Column("answer_id", sa.Text, nullable=False, server_default=""),
    # Of the answers' impressions, the share that was kept when this one was: it stands for 1/share.
    sa.Column("sample_share", sa.Double, nullable=False, server_default="1.0"),
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
    # What is too old to be kept, and impressions of a time, are found by it.
    sa.Index("events_age", "catalog_id", "type", "time_micros"),
    # AUTOINCREMENT: a sequence is never given twice, not even after a purge.
    sqlite_autoincrement=True,
)

POPULARITY = sa.Table(
    "popularity",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    sa.Column("product_id", sa.Text, primary_key=True),
    # Base-2 logarithm of the decayed count: the count itself would leave a float's range.
    sa.Column("log_count", sa.Double, nullable=False),
    sa.Index("popularity_order", "catalog_id", "log_count"),
)

ALIASES = sa.Table(
    "aliases",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    # Pseudonyms both: what the visitor does is the actor's.
    sa.Column("visitor", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("merged_micros", sa.BigInteger, nullable=False),
)

ATTRIBUTES = sa.Table(
    "attributes",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    # When the shopper's consent was told with it.
    sa.Column("consent_micros", sa.BigInteger, nullable=False),
)

ANSWERS = sa.Table(
    "answers",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    sa.Column("answer_id", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("expires_micros", sa.BigInteger, nullable=False),
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

MODELS = sa.Table(
    "models",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("manifest_sha256", sa.Text, nullable=False),
    sa.Column("trained_micros", sa.BigInteger, nullable=False),
    sa.Column("event_count", sa.BigInteger, nullable=False),
    sa.Column("shopper_count", sa.BigInteger, nullable=False),
    sa.Column("product_count", sa.BigInteger, nullable=False),
    sa.Column("first_event_micros", sa.BigInteger, nullable=False),
    sa.Column("last_event_micros", sa.BigInteger, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
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
    sa.Column("catalog_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    # The version that served then; empty = none.
    sa.Column("production", sa.Text, nullable=False),
    # The whole report, as JSON.
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("evaluated_micros", sa.BigInteger, nullable=False),
    sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
)

PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
)

PROMOTION_LOG = sa.Table(
    "promotion_log",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("catalog_id", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("promoted_micros", sa.BigInteger, nullable=False),
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
    sa.Column("catalog_id", sa.Text, primary_key=True),
    sa.Column("computed_micros", sa.BigInteger, nullable=False),
    # What the worker computed last of a catalog's feedback, as JSON.
    sa.Column("content", sa.Text, nullable=False),
)

KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
)

JOBS = jobs_table(METADATA)
