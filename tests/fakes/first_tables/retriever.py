"""All tables, as release 0.30 made them.

The words of products are those of the store's full-text search, each prefixed with its catalog's
id, so that a search reads only the postings of its own catalog.
"""

import sqlalchemy as sa
from alembic import op

from tests.fakes.first_tables.columns import (
    TEXT,
    create_audit,
    create_jobs,
    flags,
    given,
    index,
    numbers,
    of_product,
)
from tests.fakes.first_tables.columns import sorted_texts as texts

revision, down_revision = "0027", None

INSERT = """
    INSERT INTO changes (catalog_id, product_id, seq)
    VALUES (NEW.catalog_id, NEW.product_id, NEW.seq)
    ON CONFLICT (catalog_id, product_id) DO UPDATE SET seq = excluded.seq
"""
"""A trigger, so that writes by replicas of every release are recorded."""
FIELDS = ("title", "names", "details")
FUNCTION = """
    CREATE FUNCTION keyword_terms(catalog text, words text, weight text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT coalesce(string_agg(
            '''' || catalog || '·' || word || ''':' || place || weight, ' '
        ), '')::tsvector
        FROM unnest(string_to_array(words, ' ')) WITH ORDINALITY AS held(word, place)
        WHERE word <> ''
    $$
"""
POSTGRESQL = (
    FUNCTION,
    # Of releases before 0.16.
    "ALTER TABLE keywords ADD COLUMN words tsvector GENERATED ALWAYS AS ("
    "setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', names), 'B')"
    " || setweight(to_tsvector('simple', details), 'C')) STORED",
    "CREATE INDEX keywords_words ON keywords USING gin (words)",
    "ALTER TABLE keywords ADD COLUMN terms tsvector GENERATED ALWAYS AS ("
    "keyword_terms(catalog_id, title, 'A') || keyword_terms(catalog_id, names, 'B')"
    " || keyword_terms(catalog_id, details, 'C')) STORED",
    "CREATE INDEX keywords_terms ON keywords USING gin (terms)",
    f"CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN {INSERT}; RETURN NULL; END $$",
    "CREATE TRIGGER outbox_changes AFTER INSERT ON outbox "
    "FOR EACH ROW EXECUTE FUNCTION note_change()",
)


def upgrade() -> None:
    create_jobs()
    create_audit()
    _create_catalog()
    _create_index()
    _create_watches()
    op.create_table(
        "keywords",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        *texts("catalog_id", "product_id", *FIELDS),
        of_product(),
    )
    index("keywords_product", "keywords", "catalog_id", "product_id", unique=True)
    if op.get_bind().dialect.name == "sqlite":
        _create_sqlite_words()
        op.execute(f"CREATE TRIGGER outbox_changes AFTER INSERT ON outbox BEGIN {INSERT}; END")
        return
    for statement in POSTGRESQL:
        op.execute(statement)


def _create_catalog() -> None:
    op.create_table(
        "catalogs",
        *texts(
            "catalog_id", "uid", "state", "display_name", "language_code", "labels", "removed_by"
        ),
        *numbers("quota_share", kind=sa.Double),
        *numbers("create_time", "update_time", "delete_time", "purge_time"),
        given("copied_from", TEXT, ""),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
    op.create_table(
        "catalog_aliases",
        *texts("alias_id", "catalog_id", "etag"),
        *numbers("create_time", "update_time"),
        sa.PrimaryKeyConstraint("alias_id"),
    )
    op.create_table(
        "markets",
        *texts("catalog_id", "market_id"),
        sa.PrimaryKeyConstraint("catalog_id", "market_id"),
    )
    op.create_table(
        "synonyms",
        *texts("catalog_id", "rules"),
        *numbers("update_time", "seq"),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
    op.create_table(
        "sequences",
        *texts("catalog_id"),
        *numbers("seq", "time"),
        sa.PrimaryKeyConstraint("catalog_id"),
    )
    op.create_table(
        "changes",
        *texts("catalog_id", "product_id"),
        *numbers("seq"),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    index("changes_seq", "changes", "catalog_id", "seq")
    op.create_table(
        "products",
        *texts(
            "catalog_id", "product_id", "parent_id", "title", "description", "category", "brand"
        ),
        sa.Column("price_micros", sa.BigInteger),
        sa.Column("currency", TEXT),
        *texts("availability", "tags", "attributes", "language_code", "uri"),
        *numbers("create_time", "update_time"),
        *texts("etag"),
        *numbers("seq"),
        given("touched", sa.BigInteger, "0"),
        sa.Column("rating", sa.BigInteger),
        sa.Column("rating_count", sa.BigInteger),
        sa.Column("stock", sa.BigInteger),
        sa.Column("cost_micros", sa.BigInteger),
        sa.Column("cost_currency", TEXT),
        sa.Column("markets", TEXT),
        sa.PrimaryKeyConstraint("catalog_id", "product_id"),
    )
    index("products_brand", "products", "catalog_id", "brand")
    index("products_category", "products", "catalog_id", sa.text("substr(category, 1, 500)"))
    index("products_newest", "products", "catalog_id", "create_time", "product_id")
    index("products_parent", "products", "catalog_id", "parent_id")
    index("products_price", "products", "catalog_id", "currency", "price_micros")
    index("products_touched", "products", "catalog_id", "touched", "product_id")
    op.create_table(
        "images",
        *texts("catalog_id", "image_id", "media_type"),
        *numbers("size"),
        *numbers("width", "height", kind=sa.Integer),
        *numbers("create_time"),
        sa.Column("perceptual_hash", sa.BigInteger),
        sa.Column("label", TEXT),
        sa.PrimaryKeyConstraint("catalog_id", "image_id"),
    )
    index("images_unhashed", "images", "catalog_id", "image_id", where="perceptual_hash IS NULL")
    index("images_unread", "images", "catalog_id", "image_id", where="label IS NULL")
    op.create_table(
        "product_images",
        *texts("catalog_id", "product_id"),
        *numbers("position", kind=sa.Integer),
        *texts("image_id", "row_id"),
        sa.ForeignKeyConstraint(
            ["catalog_id", "image_id"], ["images.catalog_id", "images.image_id"]
        ),
        of_product(),
        sa.PrimaryKeyConstraint("catalog_id", "product_id", "position"),
    )
    index("product_images_image", "product_images", "catalog_id", "image_id")
    index("product_images_row", "product_images", "catalog_id", "row_id", unique=True)
    op.create_table(
        "doubts",
        *texts("catalog_id", "product_id", "image_id", "category", "instead", "space_version"),
        *numbers("probability", "instead_probability", kind=sa.Double),
        of_product(),
        sa.PrimaryKeyConstraint("catalog_id", "product_id", "image_id"),
    )
    index("doubts_image", "doubts", "catalog_id", "image_id")
    op.create_table(
        "takedowns",
        *texts("catalog_id", "image_id", "reason"),
        *numbers("create_time"),
        sa.PrimaryKeyConstraint("catalog_id", "image_id"),
    )
    op.create_table(
        "unnamed",
        *texts("catalog_id", "image_id"),
        *numbers("since"),
        sa.PrimaryKeyConstraint("catalog_id", "image_id"),
    )
    op.create_table(
        "imports",
        *texts("catalog_id", "import_id", "mode"),
        *numbers("rows_done", "stored_count", "refused_count"),
        *flags("closed"),
        *numbers("opened_seq", "before_seq", "create_time", "active_time", "delete_count"),
        *texts("sample"),
        sa.PrimaryKeyConstraint("catalog_id", "import_id"),
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
        sa.PrimaryKeyConstraint("catalog_id", "import_id", "row_number"),
    )
    index("import_rows_product", "import_rows", "catalog_id", "import_id", "product_id")


def _create_index() -> None:
    op.create_table(
        "generations",
        *texts("catalog_id", "name", "space", "space_version"),
        *numbers("dimension", kind=sa.Integer),
        *texts("metric", "collection", "state"),
        *flags("active"),
        *numbers("created", "applied_seq", "applied_time"),
        *flags("check_wanted"),
        given("parameters", TEXT, "{}"),
        given("activated", sa.BigInteger, "0"),
        given("predecessor", TEXT, ""),
        given("forced", sa.Boolean, sa.false()),
        given("verification", TEXT, ""),
        given("of_products", sa.Boolean, sa.false()),
        sa.PrimaryKeyConstraint("catalog_id", "name"),
    )
    op.create_table(
        "offers",
        *texts("catalog_id", "space", "space_version"),
        *numbers("dimension", kind=sa.Integer),
        *flags("by_default"),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version"),
    )
    op.create_table(
        "outbox",
        *texts("catalog_id"),
        *numbers("seq"),
        *texts("product_id"),
        *numbers("write_seq"),
        *texts("removed"),
        *numbers("time"),
        sa.PrimaryKeyConstraint("catalog_id", "seq", "product_id"),
    )
    op.create_table(
        "pending",
        *texts("catalog_id", "space", "space_version", "image_id"),
        *numbers("write_seq", "write_time"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("reason"),
        *flags("failed"),
        given("backfill", sa.Boolean, sa.false()),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version", "image_id"),
    )
    index(
        "pending_due", "pending", "catalog_id", "space", "space_version", "failed", "next_attempt"
    )
    index("pending_first", "pending", "catalog_id", "space", "space_version", "failed", "write_seq")
    op.create_table(
        "vectors",
        *texts("catalog_id", "space", "space_version", "image_id"),
        *numbers("dimension", kind=sa.Integer),
        *numbers("data", kind=sa.LargeBinary),
        *numbers("seq"),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version", "image_id"),
    )
    op.create_table(
        "product_vectors",
        *texts("catalog_id", "space", "space_version", "product_id", "row_id"),
        *numbers("data", kind=sa.LargeBinary),
        *numbers("seq"),
        given("digest", TEXT, ""),
        of_product(),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version", "product_id"),
    )
    index("product_vectors_product", "product_vectors", "catalog_id", "product_id")
    index(
        "product_vectors_row",
        "product_vectors",
        "catalog_id",
        "space",
        "space_version",
        "row_id",
        unique=True,
    )
    op.create_table(
        "leases",
        *texts("name", "owner", kind=sa.Text),
        *numbers("lease_until"),
        sa.PrimaryKeyConstraint("name"),
    )


def _create_watches() -> None:
    op.create_table(
        "watches",
        *texts("catalog_id", "watch_id", "body", "etag"),
        *numbers("create_time", "update_time"),
        sa.PrimaryKeyConstraint("catalog_id", "watch_id"),
    )
    op.create_table(
        "watch_states",
        *texts("catalog_id", "watch_id", "body"),
        *numbers("revision"),
        sa.PrimaryKeyConstraint("catalog_id", "watch_id"),
    )
    op.create_table(
        "watch_alerts",
        *texts("catalog_id"),
        *numbers("sequence"),
        *texts("watch_id", "alert_id"),
        *numbers("create_time"),
        *texts("rule_id", "kind"),
        *numbers("score", kind=sa.Double),
        *numbers("frame_time"),
        *texts("image_id", "body"),
        sa.PrimaryKeyConstraint("catalog_id", "sequence"),
    )
    index("watch_alerts_age", "watch_alerts", "catalog_id", "create_time")
    index("watch_alerts_watch", "watch_alerts", "catalog_id", "watch_id", "sequence")
    index("watch_alerts_id", "watch_alerts", "catalog_id", "watch_id", "alert_id", unique=True)
    op.create_table(
        "watch_photos",
        *texts("catalog_id", "image_id", "watch_id", "media_type"),
        *numbers("width", "height", kind=sa.Integer),
        *numbers("expire_time"),
        sa.PrimaryKeyConstraint("catalog_id", "image_id", "watch_id"),
    )
    index("watch_photos_term", "watch_photos", "catalog_id", "expire_time")
    op.create_table(
        "webhooks",
        *texts("catalog_id", "webhook_id", "uri", "watch_ids", "secrets"),
        *numbers("create_time", "start_sequence"),
        sa.PrimaryKeyConstraint("catalog_id", "webhook_id"),
    )
    op.create_table(
        "webhook_lanes",
        *texts("catalog_id", "webhook_id", "watch_id"),
        *numbers("sequence"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("failure"),
        sa.PrimaryKeyConstraint("catalog_id", "webhook_id", "watch_id"),
    )
    op.create_table(
        "webhook_dead_letters",
        *texts("catalog_id", "webhook_id", "watch_id"),
        *numbers("sequence"),
        *texts("alert_id", "body"),
        *numbers("create_time", "replay_time"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("failure"),
        sa.PrimaryKeyConstraint("catalog_id", "webhook_id", "watch_id", "sequence"),
    )


def _create_sqlite_words() -> None:
    """Create SQLite's index and its triggers. Words are normalized and separated by spaces. "ascii"
    treats all non-ASCII characters as letters; "tokenchars" adds the other characters of ids.
    Content is never read back, so none is stored."""
    options = "content='', tokenize=\"ascii tokenchars '-_'\""
    op.execute(f"CREATE VIRTUAL TABLE keywords_index USING fts5({', '.join(FIELDS)}, {options})")
    into = "INSERT INTO keywords_index({0}rowid, title, names, details)".format
    new = f"{into('')} VALUES ({_values('new')});"
    old = f"{into('keywords_index, ')} VALUES ('delete', {_values('old')});"
    for name, event, statements in (
        ("inserted", "INSERT", new),
        ("deleted", "DELETE", old),
        ("updated", "UPDATE", f"{old} {new}"),
    ):
        on = f"AFTER {event} ON keywords"
        op.execute(f"CREATE TRIGGER keywords_{name} {on} BEGIN {statements} END")


def _values(row: str) -> str:
    """Return SQL of a row's number and of its fields, each word prefixed with the catalog's id."""
    before = f"{row}.catalog_id || '·'"
    fields = (
        f"CASE {row}.{field} WHEN '' THEN '' ELSE {before} || "
        f"replace({row}.{field}, ' ', ' ' || {before}) END"
        for field in FIELDS
    )
    return ", ".join([f"{row}.number", *fields])
