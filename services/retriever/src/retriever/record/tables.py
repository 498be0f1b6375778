"""The record's tables. Times are microseconds since 1970 (UTC)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from servicekit.jobs import jobs_table, leases_table

metadata = sa.MetaData()


class _StorableText(sa.types.TypeDecorator[str]):
    """Text that every database takes.

    PostgreSQL refuses a NUL, which callers may put into an id that they ask for. No stored id holds
    a control character, so another one in its place finds nothing as well.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else value.replace("\0", "\1")


_Text = _StorableText().with_variant(_StorableText(collation="C"), "postgresql")
"""Text that sorts by code point, as SQLite's does."""
_Number = sa.BigInteger()


def _key(name: str, kind: Any = _Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


def _value(name: str, kind: Any = _Text) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


sequences = sa.Table(
    "sequences",
    metadata,
    _key("catalog_id"),
    _value("seq", _Number),
    _value("time", _Number),
)
"""The newest commit of each catalog and its time."""

CATEGORY_HEAD = 500
"""Characters of a category that its index holds. An index of PostgreSQL takes entries of 2,704
bytes, which 675 characters may have; eight levels have up to 1,045."""

products = sa.Table(
    "products",
    metadata,
    _key("catalog_id"),
    _key("product_id"),
    _value("parent_id"),
    _value("title"),
    _value("description"),
    _value("category"),
    _value("brand"),
    sa.Column("price_micros", _Number),
    sa.Column("currency", _Text),
    _value("availability"),
    _value("tags"),
    _value("attributes"),
    _value("language_code"),
    _value("uri"),
    _value("create_time", _Number),
    _value("update_time", _Number),
    _value("etag"),
    _value("seq", _Number),
    _value("touched", _Number),
    sa.Index("products_newest", "catalog_id", "create_time", "product_id"),
    sa.Index("products_parent", "catalog_id", "parent_id"),
    sa.Index("products_touched", "catalog_id", "touched", "product_id"),
    sa.Index("products_category", "catalog_id", sa.text(f"substr(category, 1, {CATEGORY_HEAD})")),
    sa.Index("products_brand", "catalog_id", "brand"),
    sa.Index("products_price", "catalog_id", "currency", "price_micros"),
)
"""`touched`: the newest commit when the product was last written whole, changed by it or not."""

keywords = sa.Table(
    "keywords",
    metadata,
    sa.Column("number", _Number.with_variant(sa.Integer, "sqlite"), primary_key=True),
    _value("catalog_id"),
    _value("product_id"),
    _value("title"),
    _value("names"),
    _value("details"),
    sa.ForeignKeyConstraint(
        ["catalog_id", "product_id"],
        ["products.catalog_id", "products.product_id"],
        ondelete="CASCADE",
    ),
    sa.Index("keywords_product", "catalog_id", "product_id", unique=True),
)
"""The words of products, set apart by blanks (keywords.py). The store's full-text search goes by
them: on SQLite a table `keywords_index` that triggers keep, on PostgreSQL a column `words`."""

ENGINES_OWN = ("keywords_index", "keywords.words", "keywords_words")
"""What migrations make for one kind of store alone: tables, columns (table.column), indexes."""

images = sa.Table(
    "images",
    metadata,
    _key("catalog_id"),
    _key("image_id"),
    _value("media_type"),
    _value("size", _Number),
    _value("width", sa.Integer),
    _value("height", sa.Integer),
    _value("create_time", _Number),
    sa.Column("perceptual_hash", _Number),
    sa.Index(
        "images_unhashed",
        "catalog_id",
        "image_id",
        sqlite_where=sa.text("perceptual_hash IS NULL"),
        postgresql_where=sa.text("perceptual_hash IS NULL"),
    ),
)
"""`perceptual_hash`: its 64 bits as a signed number; NULL = not hashed yet."""

product_images = sa.Table(
    "product_images",
    metadata,
    _key("catalog_id"),
    _key("product_id"),
    _key("position", sa.Integer),
    _value("image_id"),
    _value("row_id"),
    sa.ForeignKeyConstraint(
        ["catalog_id", "product_id"],
        ["products.catalog_id", "products.product_id"],
        ondelete="CASCADE",
    ),
    sa.ForeignKeyConstraint(["catalog_id", "image_id"], ["images.catalog_id", "images.image_id"]),
    sa.Index("product_images_image", "catalog_id", "image_id"),
    sa.Index("product_images_row", "catalog_id", "row_id", unique=True),
)
"""A product's photos in order. `row_id` is the id of the photo's row in every index."""

doubts = sa.Table(
    "doubts",
    metadata,
    _key("catalog_id"),
    _key("product_id"),
    _key("image_id"),
    _value("category"),
    _value("probability", sa.Double),
    _value("instead"),
    _value("instead_probability", sa.Double),
    _value("space_version"),
    sa.ForeignKeyConstraint(
        ["catalog_id", "product_id"],
        ["products.catalog_id", "products.product_id"],
        ondelete="CASCADE",
    ),
    sa.Index("doubts_image", "catalog_id", "image_id"),
)
"""Photos that contradicted their product's category when they were looked at (doubts.py).
`category`: the one that it was about. `instead`: what they rather look like; empty = like none."""

vectors = sa.Table(
    "vectors",
    metadata,
    _key("catalog_id"),
    _key("space"),
    _key("space_version"),
    _key("image_id"),
    _value("dimension", sa.Integer),
    _value("data", sa.LargeBinary),
    _value("seq", _Number),
)
"""float32 little-endian. `seq`: the commit that wrote it."""

product_vectors = sa.Table(
    "product_vectors",
    metadata,
    _key("catalog_id"),
    _key("space"),
    _key("space_version"),
    _key("product_id"),
    _value("row_id"),
    _value("data", sa.LargeBinary),
    _value("seq", _Number),
    sa.Column("digest", _Text, nullable=False, server_default=""),
    sa.ForeignKeyConstraint(
        ["catalog_id", "product_id"],
        ["products.catalog_id", "products.product_id"],
        ondelete="CASCADE",
    ),
    sa.Index("product_vectors_row", "catalog_id", "space", "space_version", "row_id", unique=True),
    sa.Index("product_vectors_product", "catalog_id", "product_id"),
)
"""Vectors of products themselves, in spaces that have one a product; else like `vectors`.

`digest`: of the text that the vector was made of (texts.py). Empty = the space is not of texts, or
the text has changed since: the vector serves until the new one is there."""

generations = sa.Table(
    "generations",
    metadata,
    _key("catalog_id"),
    _key("name"),
    _value("space"),
    _value("space_version"),
    _value("dimension", sa.Integer),
    _value("metric"),
    _value("collection"),
    _value("state"),
    _value("active", sa.Boolean),
    _value("created", _Number),
    _value("applied_seq", _Number),
    _value("applied_time", _Number),
    _value("check_wanted", sa.Boolean),
    _value("parameters"),
    _value("activated", _Number),
    _value("predecessor"),
    _value("forced", sa.Boolean),
    _value("verification"),
    _value("of_products", sa.Boolean),
)
"""`parameters`, `verification`: JSON; no verification yet = empty."""

offers = sa.Table(
    "offers",
    metadata,
    _key("catalog_id"),
    _key("space"),
    _key("space_version"),
    _value("dimension", sa.Integer),
    _value("by_default", sa.Boolean),
)
"""The spaces' versions that the embedder serves, as the worker last saw them."""

outbox = sa.Table(
    "outbox",
    metadata,
    _key("catalog_id"),
    _key("seq", _Number),
    _key("product_id"),
    _value("write_seq", _Number),
    _value("removed"),
    _value("time", _Number),
)

pending = sa.Table(
    "pending",
    metadata,
    _key("catalog_id"),
    _key("space"),
    _key("space_version"),
    _key("image_id"),
    _value("write_seq", _Number),
    _value("write_time", _Number),
    _value("attempts", sa.Integer),
    _value("next_attempt", _Number),
    _value("reason"),
    _value("failed", sa.Boolean),
    _value("backfill", sa.Boolean),
    sa.Index("pending_due", "catalog_id", "space", "space_version", "failed", "next_attempt"),
    sa.Index("pending_first", "catalog_id", "space", "space_version", "failed", "write_seq"),
)
"""`image_id`: of the photo; of the product where its text waits. `backfill`: a backfill wants the
vector and no write since; it goes when that is cancelled."""

imports = sa.Table(
    "imports",
    metadata,
    _key("catalog_id"),
    _key("import_id"),
    _value("mode"),
    _value("rows_done", _Number),
    _value("stored_count", _Number),
    _value("refused_count", _Number),
    _value("closed", sa.Boolean),
    _value("opened_seq", _Number),
    _value("before_seq", _Number),
    _value("create_time", _Number),
    _value("active_time", _Number),
    _value("delete_count", _Number),
    _value("sample"),
)
"""`opened_seq`: a commit number that the import took when it was opened. `before_seq`: products
touched before it are neither the import's nor those of another that was under way when it was
opened. `active_time`: when it last took rows. `delete_count`, `sample`: what closing it found."""

import_rows = sa.Table(
    "import_rows",
    metadata,
    _key("catalog_id"),
    _key("import_id"),
    _key("row_number", _Number),
    _value("product_id"),
    _value("stored", sa.Boolean),
    _value("outcome"),
    sa.ForeignKeyConstraint(
        ["catalog_id", "import_id"], ["imports.catalog_id", "imports.import_id"]
    ),
    sa.Index("import_rows_product", "catalog_id", "import_id", "product_id"),
)
"""The rows that an open import decided, with what was answered; a closed import has none."""

jobs = jobs_table(metadata)
leases = leases_table(metadata)
