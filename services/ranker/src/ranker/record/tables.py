"""The schema. Times are microseconds since 1970 (UTC); people appear as pseudonyms only."""

import sqlalchemy as sa

from servicekit.audit.record import audit_table, seals_table
from servicekit.jobs.queue import jobs_table
from servicekit.sql.leases import leases_table
from servicekit.sql.schema import given, keys, numbers, partial_index, texts

MIGRATIONS = "ranker.record.migrations"
MIGRATION_LOCK = "ranker.events.record.migrations"
"""The name by which releases until 0.35, which may run beside, lock their migrations."""
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
    # Id of the answer named by the attribution token; empty if unknown.
    given("answer_id", sa.Text, ""),
    # Share of shoppers whose impressions were stored: the event represents 1 / share of them.
    given("sample_share", sa.Double, "1.0"),
    # Experiment arm of that answer, EXPERIMENT/ARM; empty if none.
    given("arm", sa.Text, ""),
    # The shopper was not proven: the event counts for nothing that others see.
    given("unproven", sa.Boolean, sa.false()),
    # The shopper's proof was less than a day old: its searches are not shown to others.
    given("new_visitor", sa.Boolean, sa.false()),
    sa.UniqueConstraint("catalog_id", "event_id", name="events_id"),
    # For a shopper's history, read in every request: newest first, without impressions.
    sa.Index("events_history", "catalog_id", "actor", "kind", "time_micros", "sequence"),
    sa.Index("events_timeline", "catalog_id", "actor", "time_micros", "sequence"),
    # For recounting a product's popularity after a purge. The condition on product_id matches all
    # counted events; it prevents SQLite from reading histories through this index, which scanned
    # the events of all shoppers.
    partial_index(
        "events_product", "catalog_id", "product_id", where="kind = 'INTEREST' AND product_id > ''"
    ),
    # Covering index for the outcomes of answers: a report over 250,000 impressions took a quarter
    # of the time, and writing such events took 7% longer.
    partial_index(
        "events_answer",
        "catalog_id",
        "answer_id",
        "product_id",
        "type",
        "time_micros",
        "sample_share",
        "position",
        where="answer_id <> ''",
    ),
    # For the units that were exposed to an arm.
    partial_index(
        "events_arm", "catalog_id", "arm", "type", "time_micros", "actor", where="arm <> ''"
    ),
    # For retention, and for impressions of a period.
    sa.Index("events_age", "catalog_id", "type", "time_micros"),
    # AUTOINCREMENT: a sequence number is never reused, not even after a purge.
    sqlite_autoincrement=True,
)

POPULARITY = sa.Table(
    "popularity",
    METADATA,
    *keys("catalog_id", "product_id"),
    # Base-2 logarithm of the decayed count, which would exceed the range of a float.
    *numbers("log_count", kind=sa.Double),
    sa.Index("popularity_order", "catalog_id", "log_count"),
)

ALIASES = sa.Table(
    "aliases",
    METADATA,
    *keys("catalog_id"),
    # Pseudonyms: the visitor's events are stored under the actor.
    *keys("visitor"),
    *texts("actor", "key_id"),
    *numbers("merged_micros"),
)

ATTRIBUTES = sa.Table(
    "attributes",
    METADATA,
    *keys("catalog_id", "actor", "key"),
    *texts("value", "key_id"),
    # Time of the shopper's consent.
    *numbers("consent_micros"),
)

ANSWERS = sa.Table(
    "answers",
    METADATA,
    *keys("catalog_id", "answer_id"),
    *texts("actor", "key_id"),
    *texts("content", kind=sa.LargeBinary),
    *numbers("expires_micros"),
    # Columns that answers are grouped by, so that counting reads no content.
    given("answer_micros", sa.BigInteger, "0"),
    given("model_version", sa.Text, ""),
    given("scene", sa.Text, ""),
    # Names of arms, sorted, one a line.
    given("arms", sa.Text, ""),
    # Vector of the photo of the search, float32, little-endian, which may be sealed, and the
    # version of its space; null and empty without the shopper's consent.
    sa.Column("photo", sa.LargeBinary),
    given("photo_space", sa.Text, ""),
    # Number of its products, and causes of its degradations: bit n stands for cause n. Null in
    # records of releases up to 0.41.
    sa.Column("product_count", sa.Integer),
    sa.Column("degraded_by", sa.BigInteger),
    partial_index("answers_photo", "catalog_id", "photo_space", "actor", where="photo_space <> ''"),
    sa.Index("answers_time", "catalog_id", "answer_micros"),
    sa.Index("answers_expiry", "expires_micros"),
    sa.Index("answers_actor", "catalog_id", "actor"),
)

EXPOSURES = sa.Table(
    "control_exposures",
    METADATA,
    sa.Column("catalog_id", sa.Text, primary_key=True),
    # Days since 1970 (UTC), by the time answers were served.
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    *numbers("exposures"),
)
"""Number of answers of each day in which each control acted."""

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
    # Training data of the manifest, as JSON; see ModelRecord.
    given("training", sa.Text, "{}"),
    sa.Column("promoted_micros", sa.BigInteger),
    # Time of the last promotion.
    given("forced", sa.Boolean, sa.false()),
    # Time when its files were deleted; null if they exist.
    sa.Column("pruned_micros", sa.BigInteger),
)

EVALUATIONS = sa.Table(
    "evaluations",
    METADATA,
    *keys("catalog_id", "version"),
    *texts("verdict", "summary"),
    # Version that served at that time; empty if none.
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
    # Time of the rollback; null while the promotion is active.
    sa.Column("undone_micros", sa.BigInteger),
    # Whether it was forced, and the verdict of the evaluation; empty if not evaluated.
    given("forced", sa.Boolean, sa.false()),
    given("verdict", sa.Text, ""),
    # What the model had shown: see ProvenMargin; null if it was not measured.
    sa.Column("margin", sa.Double),
    sa.Column("held_out", sa.Double),
    # Whether an operator forced it, so that later models are not compared with earlier ones.
    given("anew", sa.Boolean, sa.false()),
    sa.ForeignKeyConstraint(["catalog_id", "version"], ["models.catalog_id", "models.version"]),
    sa.Index("promotion_log_order", "catalog_id", "sequence"),
    sqlite_autoincrement=True,
)

HEALTH = sa.Table(
    "health",
    METADATA,
    *keys("catalog_id"),
    *numbers("computed_micros"),
    # Last report on a catalog's feedback, as JSON.
    *texts("content"),
)

COUNT_QUEUE = sa.Table(
    "count_queue",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    *texts("catalog_id"),
    # JSON: [[actor, day], …], the shoppers' days to count again.
    *texts("units"),
    *numbers("created_micros"),
    sa.Index("count_queue_oldest", "catalog_id", "sequence"),
    sqlite_autoincrement=True,
)

COUNT_UNITS = sa.Table(
    "count_units",
    METADATA,
    *keys("catalog_id", "actor"),
    # Days since 1970 (UTC), may be negative; counting.HABITS: totals over all days.
    *keys("day", kind=sa.BigInteger),
    # JSON: units bought by product, empty if none; and the content of the day.
    *texts("bought", "content"),
)

COUNT_PAIRS = sa.Table(
    "count_pairs",
    METADATA,
    # For a product with itself: days on which it occurred with any other; "" with "": all days.
    *keys("catalog_id", "kind", "product_id", "other_id"),
    *numbers("count"),
    sa.Index("count_pairs_order", "catalog_id", "kind", "product_id", "count", "other_id"),
)

COUNT_DAYS = sa.Table(
    "count_days",
    METADATA,
    *keys("catalog_id", "product_id", "segment"),
    # Little-endian int32 triples by day: day, shoppers, units.
    *texts("days", kind=sa.LargeBinary),
)

COUNT_RATES = sa.Table(
    "count_rates",
    METADATA,
    *keys("catalog_id", "product_id", "segment", "grp"),
    # Base-2 logarithms of decayed counts; −∞ for a count of zero.
    *numbers("log_short", "log_long", "log_sold", kind=sa.Double),
    sa.Index("count_rates_short", "catalog_id", "segment", "grp", "log_short", "product_id"),
    sa.Index("count_rates_sold", "catalog_id", "segment", "grp", "log_sold", "product_id"),
)

COUNT_GAPS = sa.Table(
    "count_gaps",
    METADATA,
    # Interval between two purchases of a product, in quarter octaves of days; "": of any product.
    *keys("catalog_id", "product_id"),
    *keys("gap", kind=sa.Integer),
    *numbers("count"),
)

COUNT_PRODUCTS = sa.Table(
    "count_products",
    METADATA,
    *keys("catalog_id", "product_id"),
    # JSON: names of the product's groups, named like its features.
    *texts("groups"),
    # Time when the groups were read from the retriever; 0 if not yet.
    *numbers("read_micros"),
    sa.Index("count_products_age", "catalog_id", "read_micros"),
)

PRODUCT_FIRSTS = sa.Table(
    "product_firsts",
    METADATA,
    *keys("catalog_id", "product_id"),
    # Time of the first event with the product, among those that retention deleted.
    *numbers("time_micros"),
)

EXPERIMENTS = sa.Table(
    "experiments",
    METADATA,
    *keys("catalog_id", "name"),
    *numbers("start_micros"),
    # The experiment as a protobuf message.
    *texts("content", kind=sa.LargeBinary),
)

ERASURES = sa.Table(
    "erasures",
    METADATA,
    *keys("catalog_id"),
    # Hash of a pseudonym; an erased user with merged visitors has several rows.
    *keys("person"),
    *numbers("requested_micros", "completed_micros"),
    # Receipt: JSON; empty while the erasure is under way.
    *texts("job_id", "receipt"),
    sa.Index("erasures_time", "catalog_id", "requested_micros"),
)

CONSENTS = sa.Table(
    "consents",
    METADATA,
    sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    # The actor is empty in a catalog's default, and a hash after an erasure.
    *texts("catalog_id", "actor", "purpose", "source"),
    # Empty in a default and after an erasure.
    *texts("key_id"),
    *numbers("decided_micros"),
    sa.Column("granted", sa.Boolean, nullable=False),
    # Whether no later decision on the purpose exists.
    sa.Column("latest", sa.Boolean, nullable=False),
    sa.Index("consents_actor", "catalog_id", "actor"),
    sa.Index("consents_purpose", "catalog_id", "purpose", "actor"),
    sa.Index("consents_key", "catalog_id", "key_id"),
    sqlite_autoincrement=True,
)

BUDGET = sa.Table(
    "privacy_budget",
    METADATA,
    # Id of the job that it paid for; of expenses before 0.36, a digest of the request.
    *keys("catalog_id", "key"),
    *numbers("spent_micros"),
    *numbers("epsilon", "delta", kind=sa.Double),
    *texts("text"),
    sa.Index("privacy_budget_time", "catalog_id", "spent_micros"),
)

NIGHT_JOBS = sa.Table(
    "night_jobs",
    METADATA,
    # The newest job that nights requested for this cause: what became of it is asked by its id, as
    # it may end on any later day.
    *keys("catalog_id", "cause"),
    *texts("job_id"),
    *numbers("requested_micros"),
    # When its result was judged; 0: not yet.
    *numbers("decided_micros"),
)

DATA_KEYS = sa.Table(
    "data_keys",
    METADATA,
    *keys("key_id"),
    # Encrypted with the wrapping key of this id, which lies outside the record.
    *texts("wrapped", kind=sa.LargeBinary),
    *texts("wrapped_with"),
    *numbers("created_micros"),
    # True if nothing is sealed with an older data key.
    sa.Column("complete", sa.Boolean, nullable=False),
)

KEYS = sa.Table(
    "keys",
    METADATA,
    *keys("key_id"),
    *texts("fingerprint"),
)

JOBS = jobs_table(METADATA)
LEASES = leases_table(METADATA)
AUDIT = audit_table(METADATA)
AUDIT_SEALS = seals_table(METADATA)
