"""The schema of release 0.30, from which a store is upgraded."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, of_product, texts
from servicekit.sql.schema import (
    caller_of_job,
    create_audit,
    create_jobs,
    flags,
    numbers,
)

revision, down_revision = "0027", None

_SPACE = ("space", "space_version")


def upgrade() -> None:
    """Create all tables."""
    create_jobs()
    op.add_column("jobs", caller_of_job())
    create_audit()
    op.create_table(
        "leases", *texts("name", "owner", kind=sa.Text), *numbers("lease_until"), _key("name")
    )
    _catalogs()
    _photos()
    _products()
    _generations()
    _writes()
    _keywords()
    _watches()
    _webhooks()


def _key(*names: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*names)


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, TEXT, primary_key=True) for name in names]


def _given(name: str, kind: Any, default: Any = "") -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=default)


def _index(
    table: str, name: str, columns: Sequence[Any], where: str = "", *, unique: bool = False
) -> None:
    given: Any = {f"{each}_where": sa.text(where) for each in ("sqlite", "postgresql") if where}
    op.create_index(f"{table}_{name}", table, ["catalog_id", *columns], unique=unique, **given)


def _catalogs() -> None:
    op.create_table(
        "catalogs",
        *_keys("catalog_id"),
        *texts("uid", "state", "display_name", "language_code", "labels", "removed_by"),
        *numbers("quota_share", kind=sa.Double),
        *numbers("create_time", "update_time", "delete_time", "purge_time"),
        _given("copied_from", TEXT),
    )
    op.create_table(
        "catalog_aliases",
        *_keys("alias_id"),
        *texts("catalog_id", "etag"),
        *numbers("create_time", "update_time"),
    )
    op.create_table(
        "synonyms", *_keys("catalog_id"), *texts("rules"), *numbers("update_time", "seq")
    )
    op.create_table("markets", *_keys("catalog_id", "market_id"))


def _photos() -> None:
    op.create_table(
        "images",
        *_keys("catalog_id", "image_id"),
        *texts("media_type"),
        *numbers("size"),
        *numbers("width", "height", kind=sa.Integer),
        *numbers("create_time"),
        sa.Column("perceptual_hash", sa.BigInteger),
        sa.Column("label", TEXT),
    )
    _index("images", "unhashed", ["image_id"], "perceptual_hash IS NULL")
    _index("images", "unread", ["image_id"], "label IS NULL")
    op.create_table(
        "takedowns", *_keys("catalog_id", "image_id"), *texts("reason"), *numbers("create_time")
    )
    op.create_table("unnamed", *_keys("catalog_id", "image_id"), *numbers("since"))


def _products() -> None:
    op.create_table(
        "products",
        *_keys("catalog_id", "product_id"),
        *texts("parent_id", "title", "description", "category", "brand"),
        sa.Column("price_micros", sa.BigInteger),
        sa.Column("currency", TEXT),
        *texts("availability", "tags", "attributes", "language_code", "uri"),
        *numbers("create_time", "update_time"),
        *texts("etag"),
        *numbers("seq"),
        _given("touched", sa.BigInteger, "0"),
        *(sa.Column(name, sa.BigInteger) for name in ("rating", "rating_count", "stock")),
        sa.Column("cost_micros", sa.BigInteger),
        *(sa.Column(name, TEXT) for name in ("cost_currency", "markets")),
    )
    _index("products", "newest", ["create_time", "product_id"])
    _index("products", "parent", ["parent_id"])
    _index("products", "touched", ["touched", "product_id"])
    # An entry of an index of PostgreSQL has at most 2,704 bytes.
    _index("products", "category", [sa.text("substr(category, 1, 500)")])
    _index("products", "brand", ["brand"])
    _index("products", "price", ["currency", "price_micros"])
    op.create_table(
        "product_images",
        *texts("catalog_id", "product_id"),
        *numbers("position", kind=sa.Integer),
        *texts("image_id", "row_id"),
        sa.ForeignKeyConstraint(
            ["catalog_id", "image_id"], ["images.catalog_id", "images.image_id"]
        ),
        of_product(),
        _key("catalog_id", "product_id", "position"),
    )
    _index("product_images", "image", ["image_id"])
    _index("product_images", "row", ["row_id"], unique=True)
    op.create_table(
        "doubts",
        *_keys("catalog_id", "product_id", "image_id"),
        *texts("category", "instead", "space_version"),
        *numbers("probability", "instead_probability", kind=sa.Double),
        of_product(),
    )
    _index("doubts", "image", ["image_id"])


def _generations() -> None:
    op.create_table(
        "generations",
        *_keys("catalog_id", "name"),
        *texts(*_SPACE),
        *numbers("dimension", kind=sa.Integer),
        *texts("metric", "collection", "state"),
        *flags("active"),
        *numbers("created", "applied_seq", "applied_time"),
        *flags("check_wanted"),
        _given("parameters", TEXT, "{}"),
        _given("activated", sa.BigInteger, "0"),
        _given("predecessor", TEXT),
        _given("forced", sa.Boolean, sa.false()),
        _given("verification", TEXT),
        _given("of_products", sa.Boolean, sa.false()),
    )
    op.create_table(
        "offers",
        *_keys("catalog_id", *_SPACE),
        *numbers("dimension", kind=sa.Integer),
        *flags("by_default"),
    )
    op.create_table(
        "vectors",
        *_keys("catalog_id", *_SPACE, "image_id"),
        *numbers("dimension", kind=sa.Integer),
        *texts("data", kind=sa.LargeBinary),
        *numbers("seq"),
    )
    op.create_table(
        "product_vectors",
        *_keys("catalog_id", *_SPACE, "product_id"),
        *texts("row_id"),
        *texts("data", kind=sa.LargeBinary),
        *numbers("seq"),
        _given("digest", TEXT),
        of_product(),
    )
    _index("product_vectors", "row", [*_SPACE, "row_id"], unique=True)
    _index("product_vectors", "product", ["product_id"])
    op.create_table(
        "pending",
        *_keys("catalog_id", *_SPACE, "image_id"),
        *numbers("write_seq", "write_time"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("reason"),
        *flags("failed"),
        _given("backfill", sa.Boolean, sa.false()),
    )
    _index("pending", "due", [*_SPACE, "failed", "next_attempt"])
    _index("pending", "first", [*_SPACE, "failed", "write_seq"])


_CHANGE = """
    INSERT INTO changes (catalog_id, product_id, seq)
    VALUES (NEW.catalog_id, NEW.product_id, NEW.seq)
    ON CONFLICT (catalog_id, product_id) DO UPDATE SET seq = excluded.seq
"""


def _writes() -> None:
    op.create_table("sequences", *_keys("catalog_id"), *numbers("seq", "time"))
    op.create_table(
        "outbox",
        *texts("catalog_id"),
        *numbers("seq"),
        *texts("product_id"),
        *numbers("write_seq"),
        *texts("removed"),
        *numbers("time"),
        _key("catalog_id", "seq", "product_id"),
    )
    op.create_table("changes", *_keys("catalog_id", "product_id"), *numbers("seq"))
    _index("changes", "seq", ["seq"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER outbox_changes AFTER INSERT ON outbox BEGIN {_CHANGE}; END")
    else:
        op.execute(
            "CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {_CHANGE}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER outbox_changes AFTER INSERT ON outbox "
            "FOR EACH ROW EXECUTE FUNCTION note_change()"
        )
    op.create_table(
        "imports",
        *_keys("catalog_id", "import_id"),
        *texts("mode"),
        *numbers("rows_done", "stored_count", "refused_count"),
        *flags("closed"),
        *numbers("opened_seq", "before_seq", "create_time", "active_time", "delete_count"),
        *texts("sample"),
    )
    op.create_table(
        "import_rows",
        *texts("catalog_id", "import_id"),
        *numbers("row_number"),
        *texts("product_id"),
        *flags("stored"),
        *texts("outcome"),
        sa.ForeignKeyConstraint(
            ["catalog_id", "import_id"], ["imports.catalog_id", "imports.import_id"]
        ),
        _key("catalog_id", "import_id", "row_number"),
    )
    _index("import_rows", "product", ["import_id", "product_id"])


_FIELDS = ("title", "names", "details")
_POSTGRESQL = (
    "ALTER TABLE keywords ADD COLUMN words tsvector GENERATED ALWAYS AS ("
    "setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', names), 'B')"
    " || setweight(to_tsvector('simple', details), 'C')) STORED",
    "CREATE INDEX keywords_words ON keywords USING gin (words)",
    """
    CREATE FUNCTION keyword_terms(catalog text, words text, weight text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT coalesce(string_agg(
            '''' || catalog || '·' || word || ''':' || place || weight, ' '
        ), '')::tsvector
        FROM unnest(string_to_array(words, ' ')) WITH ORDINALITY AS held(word, place)
        WHERE word <> ''
    $$
""",
    "ALTER TABLE keywords ADD COLUMN terms tsvector GENERATED ALWAYS AS ("
    "keyword_terms(catalog_id, title, 'A') || keyword_terms(catalog_id, names, 'B')"
    " || keyword_terms(catalog_id, details, 'C')) STORED",
    "CREATE INDEX keywords_terms ON keywords USING gin (terms)",
)
"""The column `words` was that of releases up to 0.14."""


def _keywords() -> None:
    """Create the full-text index, in which each word is prefixed with its catalog's id."""
    op.create_table(
        "keywords",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        *texts("catalog_id", "product_id", *_FIELDS),
        of_product(),
    )
    _index("keywords", "product", ["product_id"], unique=True)
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _sqlite_index() if sqlite else _POSTGRESQL:
        op.execute(statement)


def _sqlite_index() -> list[str]:
    """Return the statements that create SQLite's index. Words are normalized and separated by
    spaces. "ascii" treats all other characters as letters, and "tokenchars" those of ids."""

    def values(row: str) -> str:
        before = f"{row}.catalog_id || '·'"
        termed = (
            f"CASE {row}.{field} WHEN '' THEN '' ELSE {before}"
            f" || replace({row}.{field}, ' ', ' ' || {before}) END"
            for field in _FIELDS
        )
        return ", ".join([f"{row}.number", *termed])

    into = "INSERT INTO keywords_index({0}rowid, title, names, details)".format
    new = f"{into('')} VALUES ({values('new')});"
    old = f"{into('keywords_index, ')} VALUES ('delete', {values('old')});"
    done = {
        "inserted AFTER INSERT": new,
        "deleted AFTER DELETE": old,
        "updated AFTER UPDATE": f"{old} {new}",
    }
    return [
        f"CREATE VIRTUAL TABLE keywords_index USING fts5({', '.join(_FIELDS)},"
        " content='', tokenize=\"ascii tokenchars '-_'\")",
        *(
            f"CREATE TRIGGER keywords_{event} ON keywords BEGIN {statements} END"
            for event, statements in done.items()
        ),
    ]


def _watches() -> None:
    op.create_table(
        "watches",
        *_keys("catalog_id", "watch_id"),
        *texts("body", "etag"),
        *numbers("create_time", "update_time"),
    )
    op.create_table(
        "watch_states", *_keys("catalog_id", "watch_id"), *texts("body"), *numbers("revision")
    )
    op.create_table(
        "watch_alerts",
        *_keys("catalog_id"),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        *texts("watch_id", "alert_id"),
        *numbers("create_time"),
        *texts("rule_id", "kind"),
        *numbers("score", kind=sa.Double),
        *numbers("frame_time"),
        *texts("image_id", "body"),
    )
    _index("watch_alerts", "id", ["watch_id", "alert_id"], unique=True)
    _index("watch_alerts", "watch", ["watch_id", "sequence"])
    _index("watch_alerts", "age", ["create_time"])
    op.create_table(
        "watch_photos",
        *_keys("catalog_id", "image_id", "watch_id"),
        *texts("media_type"),
        *numbers("width", "height", kind=sa.Integer),
        *numbers("expire_time"),
    )
    _index("watch_photos", "term", ["expire_time"])


def _webhooks() -> None:
    lane = ("catalog_id", "webhook_id", "watch_id")
    op.create_table(
        "webhooks",
        *_keys("catalog_id", "webhook_id"),
        *texts("uri", "watch_ids", "secrets"),
        *numbers("create_time", "start_sequence"),
    )
    op.create_table(
        "webhook_lanes",
        *_keys(*lane),
        *numbers("sequence"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("failure"),
    )
    op.create_table(
        "webhook_dead_letters",
        *_keys(*lane),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        *texts("alert_id", "body"),
        *numbers("create_time", "replay_time"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("failure"),
    )
