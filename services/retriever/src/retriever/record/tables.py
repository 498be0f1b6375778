"""The record's tables. Times are microseconds since 1970 (UTC)."""

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any

import sqlalchemy as sa

from retriever.record import full_text
from servicekit.audit.record import audit_table, seals_table
from servicekit.jobs.queue import jobs_table
from servicekit.sql.leases import leases_table
from servicekit.sql.schema import STORABLE_TEXT, given, keys, partial_index, texts
from sightline_rules import kinds
from sightline_rules.fields import FIELDS, Field

metadata = sa.MetaData()


_Text = STORABLE_TEXT
_Number = sa.BigInteger()


_keys, _values = partial(keys, kind=_Text), partial(texts, kind=_Text)


def _of_field(field: Field) -> Iterable[sa.Column[Any]]:
    """Return the columns of a product's field. NULL: the product does not have it."""
    match field.kind:
        case kinds.MoneyKind():
            micros, currency = field.stored
            return sa.Column(micros, _Number), sa.Column(currency, _Text)
        case kinds.StepsKind():
            return [sa.Column(name, _Number) for name in field.stored]
        case kinds.TimeKind():
            return _values(*field.stored, kind=_Number)
        case kinds.MarketsKind():
            return [sa.Column(name, _Text) for name in field.stored]
        case _:
            return _values(*field.stored)


def _of_product(column: str = "product_id") -> sa.ForeignKeyConstraint:
    """Return a foreign key that deletes a row with the product that a column names."""
    product = ["products.catalog_id", "products.product_id"]
    return sa.ForeignKeyConstraint(["catalog_id", column], product, ondelete="CASCADE")


synonyms = sa.Table(
    "synonyms",
    metadata,
    *_keys("catalog_id"),
    *_values("rules"),
    *_values("update_time", "seq", kind=_Number),
)
"""Synonyms in use. `rules`: JSON (domain/synonyms.py). `seq`: the commit that wrote them."""

sequences = sa.Table(
    "sequences",
    metadata,
    *_keys("catalog_id"),
    *_values("seq", "time", kind=_Number),
    given("known_from", _Number, "0"),
)
"""The newest commit of each catalog and its time. `known_from`: the newest commit whose deletions
were forgotten: `changes` has all of later ones."""

catalogs = sa.Table(
    "catalogs",
    metadata,
    *_keys("catalog_id"),
    *_values("uid", "state", "display_name", "language_code", "labels"),
    *_values("quota_share", kind=sa.Double),
    *_values("create_time", "update_time", "delete_time", "purge_time", kind=_Number),
    *_values("removed_by"),
    given("copied_from", _Text, ""),
    given("steered_by", _Text, "files"),
    given("scenes_commit", _Number, "0"),
)
"""The registry: catalogs that were created at run time, and values of declared ones. `labels`,
`removed_by` (services): JSON. `copied_from`: the catalog whose copy fills it; empty once it is
complete. `scenes_commit`: the registry's commit that last changed its published scenes."""


def _texts(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        *_keys("catalog_id", "scene"),
        *_keys("number", kind=_Number),
        *_values("toml", "version", "author", "comment"),
        *_values("create_time", kind=_Number),
        sa.Column("planned_time", _Number),
    )


scene_texts, synonym_texts = _texts("scene_texts"), _texts("synonym_texts")
"""Scenes of catalogs, and their synonyms, which release 0.42 would take for a scene: drafts
(`number` 0) and published versions. `version`: hash of `toml`. `planned_time`: when a planned
version is published; 0: it was not planned; NULL: 0.42 or a restore wrote it, and `create_time`
tells."""

catalog_aliases = sa.Table(
    "catalog_aliases",
    metadata,
    *_keys("alias_id"),
    *_values("catalog_id", "etag"),
    *_values("create_time", "update_time", kind=_Number),
)
"""Names that stand for catalogs."""

CATEGORY_HEAD = 500
"""Indexed characters of a category. An index entry of PostgreSQL has at most 2,704 bytes (675
characters of 4 bytes); eight levels have up to 1,045 characters."""

products = sa.Table(
    "products",
    metadata,
    *_keys("catalog_id", "product_id"),
    *chain.from_iterable(map(_of_field, FIELDS)),
    *_values("etag"),
    *_values("seq", kind=_Number),
    given("touched", _Number, "0"),
    sa.Index("products_newest", "catalog_id", "create_time", "product_id"),
    sa.Index("products_parent", "catalog_id", "parent_id"),
    sa.Index("products_touched", "catalog_id", "touched", "product_id"),
    sa.Index("products_category", "catalog_id", sa.text(f"substr(category, 1, {CATEGORY_HEAD})")),
    sa.Index("products_brand", "catalog_id", "brand"),
    sa.Index("products_price", "catalog_id", "currency", "price_micros"),
)
"""`touched`: the newest commit when the product was last written whole, even if unchanged."""

markets = sa.Table("markets", metadata, *_keys("catalog_id", "market_id"))
"""Markets that products of a catalog have named, at most 64. `products.markets`: values by market,
as JSON (domain/field_codecs.py)."""

keywords = sa.Table(
    "keywords",
    metadata,
    sa.Column("number", _Number.with_variant(sa.Integer, "sqlite"), primary_key=True),
    *_values("catalog_id", "product_id", "title", "names", "details"),
    _of_product(),
    sa.Index("keywords_product", "catalog_id", "product_id", unique=True),
)
"""The words of products, separated by spaces (domain/words.py). The store's full-text search uses
them: on SQLite a table `keywords_index` that triggers maintain, on PostgreSQL a column `terms`
(record/full_text.py)."""

ENGINES_OWN = (
    "keywords_index",
    "keywords.words",  # of stores before 0.41
    "keywords_words",
    "keywords.terms",
    "keywords_terms",
)
"""Objects on one kind of store only: tables, columns (table.column), indexes."""

images = sa.Table(
    "images",
    metadata,
    *_keys("catalog_id", "image_id"),
    *_values("media_type"),
    *_values("size", kind=_Number),
    *_values("width", "height", kind=sa.Integer),
    *_values("create_time", kind=_Number),
    sa.Column("perceptual_hash", _Number),
    sa.Column("label", _Text),
    partial_index("images_unhashed", "catalog_id", "image_id", where="perceptual_hash IS NULL"),
    partial_index("images_unread", "catalog_id", "image_id", where="label IS NULL"),
)
"""`perceptual_hash`: its 64 bits as a signed number; NULL = of a
photo that a release before hashes stored. `label`: the lines of
text in the photo; empty: none; NULL = not read yet, or the catalog's labels are not read."""

product_images = sa.Table(
    "product_images",
    metadata,
    *_keys("catalog_id", "product_id"),
    *_keys("position", kind=sa.Integer),
    *_values("image_id", "row_id"),
    _of_product(),
    sa.ForeignKeyConstraint(["catalog_id", "image_id"], ["images.catalog_id", "images.image_id"]),
    sa.Index("product_images_image", "catalog_id", "image_id"),
    sa.Index("product_images_row", "catalog_id", "row_id", unique=True),
)
"""A product's photos in order. `row_id` is the id of the photo's row in every index."""

mismatches = sa.Table(
    "doubts",
    metadata,
    *_keys("catalog_id", "product_id", "image_id"),
    *_values("category"),
    *_values("probability", kind=sa.Double),
    *_values("instead"),
    *_values("instead_probability", kind=sa.Double),
    *_values("space_version"),
    _of_product(),
    sa.Index("doubts_image", "catalog_id", "image_id"),
)
"""Photos that contradict their product's category (domain/category_mismatch.py). `category`: the
one contradicted. `instead`: the more probable one; empty if unknown."""

distinct_pairs = sa.Table(
    "distinct_pairs",
    metadata,
    *_keys("catalog_id", "pair_id"),
    *_values("product_id", "other_product_id", "image_id", "other_image_id", "author"),
    *_values("create_time", kind=_Number),
    _of_product(),
    _of_product("other_product_id"),
    sa.Index("distinct_pairs_product", "catalog_id", "product_id"),
    sa.Index("distinct_pairs_other", "catalog_id", "other_product_id"),
)
"""Products of one picture that were decided to be different (domain/distinct_pairs.py). `pair_id`:
derived from their ids. `image_id`, `other_image_id`: their first photos; the decision does not hold
with others."""

vectors = sa.Table(
    "vectors",
    metadata,
    *_keys("catalog_id", "space", "space_version", "image_id"),
    *_values("dimension", kind=sa.Integer),
    *_values("data", kind=sa.LargeBinary),
    *_values("seq", kind=_Number),
)
"""float32 little-endian. `seq`: the commit that wrote it."""

product_vectors = sa.Table(
    "product_vectors",
    metadata,
    *_keys("catalog_id", "space", "space_version", "product_id"),
    *_values("row_id"),
    *_values("data", kind=sa.LargeBinary),
    *_values("seq", kind=_Number),
    given("digest", _Text, ""),
    _of_product(),
    sa.Index("product_vectors_row", "catalog_id", "space", "space_version", "row_id", unique=True),
    sa.Index("product_vectors_product", "catalog_id", "product_id"),
)
"""Vectors of products, in spaces with one vector per product; otherwise like `vectors`.

`digest`: hash of the text that the vector was made of (domain/texts.py). Empty: the space is not of
texts, or the text has changed; the old vector is used until the new one is stored."""

generations = sa.Table(
    "generations",
    metadata,
    *_keys("catalog_id", "name"),
    *_values("space", "space_version"),
    *_values("dimension", kind=sa.Integer),
    *_values("metric", "collection", "state"),
    *_values("active", kind=sa.Boolean),
    *_values("created", "applied_seq", "applied_time", kind=_Number),
    *_values("check_wanted", kind=sa.Boolean),
    given("parameters", _Text, "{}"),
    given("activated", _Number, "0"),
    given("predecessor", _Text, ""),
    given("forced", sa.Boolean, sa.false()),
    given("verification", _Text, ""),
    given("of_products", sa.Boolean, sa.false()),
)
"""`parameters`, `verification`: JSON; empty: not verified yet."""

offers = sa.Table(
    "offers",
    metadata,
    *_keys("catalog_id", "space", "space_version"),
    *_values("dimension", kind=sa.Integer),
    *_values("by_default", kind=sa.Boolean),
)
"""Versions of spaces that the embedder serves, as last read by the worker."""

outbox = sa.Table(
    "outbox",
    metadata,
    *_keys("catalog_id"),
    *_keys("seq", kind=_Number),
    *_keys("product_id"),
    *_values("write_seq", kind=_Number),
    *_values("removed"),
    *_values("time", kind=_Number),
)

changes = sa.Table(
    "changes",
    metadata,
    *_keys("catalog_id", "product_id"),
    *_values("seq", kind=_Number),
    sa.Index("changes_seq", "catalog_id", "seq"),
)
"""The newest commit of each product that was written or deleted, for updates of the columns in
memory. A trigger on the outbox writes them, because outbox entries are deleted once all generations
hold them."""

pending = sa.Table(
    "pending",
    metadata,
    *_keys("catalog_id", "space", "space_version", "image_id"),
    *_values("write_seq", "write_time", kind=_Number),
    *_values("attempts", kind=sa.Integer),
    *_values("next_attempt", kind=_Number),
    *_values("reason"),
    *_values("failed", kind=sa.Boolean),
    given("backfill", sa.Boolean, sa.false()),
    given("retried", sa.Boolean, sa.false()),
    sa.Index("pending_due", "catalog_id", "space", "space_version", "failed", "next_attempt"),
    sa.Index("pending_first", "catalog_id", "space", "space_version", "failed", "write_seq"),
)
"""`image_id`: id of the photo, or of the product whose text is pending. `backfill`: only a backfill
requires the vector; the row is deleted if the backfill is cancelled. `retried`: it had failed, and
a backfill tries again; the row has failed again if the backfill is cancelled. A write takes both
over: what it wants stays pending whatever becomes of the backfill."""

takedowns = sa.Table(
    "takedowns",
    metadata,
    *_keys("catalog_id", "image_id"),
    *_values("reason"),
    *_values("create_time", kind=_Number),
)
"""Photos that were taken down and must not be stored."""

unnamed = sa.Table(
    "unnamed",
    metadata,
    *_keys("catalog_id", "image_id"),
    *_values("since", kind=_Number),
)
"""Photos without a product at the worker's last check, and since when. Some are not recorded, only
stored."""

imports = sa.Table(
    "imports",
    metadata,
    *_keys("catalog_id", "import_id"),
    *_values("mode"),
    *_values("rows_done", "stored_count", "refused_count", kind=_Number),
    *_values("closed", kind=sa.Boolean),
    *_values(
        "opened_seq", "before_seq", "create_time", "active_time", "delete_count", kind=_Number
    ),
    *_values("sample"),
)
"""`opened_seq`: commit number reserved when the import was opened. `before_seq`: products touched
before it belong neither to this import nor to one that was open at that time. `active_time`: time
of its newest rows. `delete_count`, `sample`: result of closing."""

import_rows = sa.Table(
    "import_rows",
    metadata,
    *_keys("catalog_id", "import_id"),
    *_keys("row_number", kind=_Number),
    *_values("product_id"),
    *_values("stored", kind=sa.Boolean),
    *_values("outcome"),
    sa.ForeignKeyConstraint(
        ["catalog_id", "import_id"], ["imports.catalog_id", "imports.import_id"]
    ),
    sa.Index("import_rows_product", "catalog_id", "import_id", "product_id"),
)
"""Decided rows of an open import with their outcomes; a closed import has none."""

# Former tables: releases up to 0.42 had watches, alerts and webhooks here. `python -m vision.move`
# reads them. The retriever uses watch_photos alone, to keep the photos until then. They can't be
# dropped yet: the last release does not start on a store without them.
watches = sa.Table(
    "watches",
    metadata,
    *_keys("catalog_id", "watch_id"),
    *_values("body", "etag"),
    *_values("create_time", "update_time", kind=_Number),
)
"""Watches. `body`: JSON of 0.42."""

watch_states = sa.Table(
    "watch_states",
    metadata,
    *_keys("catalog_id", "watch_id"),
    *_values("body"),
    *_values("revision", kind=_Number),
)
"""State of a watch, learned from its frames. `body`: JSON of 0.42, with the state of
each rule. `revision` rises with each write: a writer that read an older one has not seen all
frames."""

watch_alerts = sa.Table(
    "watch_alerts",
    metadata,
    *_keys("catalog_id"),
    sa.Column("sequence", _Number, primary_key=True, autoincrement=False),
    *_values("watch_id", "alert_id"),
    *_values("create_time", kind=_Number),
    *_values("rule_id", "kind"),
    *_values("score", kind=sa.Double),
    *_values("frame_time", kind=_Number),
    *_values("image_id", "body"),
    sa.Index("watch_alerts_id", "catalog_id", "watch_id", "alert_id", unique=True),
    sa.Index("watch_alerts_watch", "catalog_id", "watch_id", "sequence"),
    sa.Index("watch_alerts_age", "catalog_id", "create_time"),
)
"""Alerts of watches. `sequence`: the catalog's commit that stored it. `alert_id`: the same frames
give the same id. `kind`: "started" or "ended". `image_id`: photo of the frame; empty: not kept.
`body`: JSON of the whole alert of 0.42."""

watch_photos = sa.Table(
    "watch_photos",
    metadata,
    *_keys("catalog_id", "image_id", "watch_id"),
    *_values("media_type"),
    *_values("width", "height", kind=sa.Integer),
    *_values("expire_time", kind=_Number),
    sa.Index("watch_photos_term", "catalog_id", "expire_time"),
)
"""Photos that watches have in the photo store: frames of alerts until `expire_time`, and photos
that rules look for (`expire_time` 0), which are deleted with their watch."""

webhooks = sa.Table(
    "webhooks",
    metadata,
    *_keys("catalog_id", "webhook_id"),
    *_values("uri", "watch_ids", "secrets"),
    *_values("create_time", "start_sequence", kind=_Number),
)
"""Receivers of alerts. `watch_ids`, `secrets` (what they are derived from): JSON. `start_sequence`:
the catalog's commit before it; it gets later alerts."""

webhook_lanes = sa.Table(
    "webhook_lanes",
    metadata,
    *_keys("catalog_id", "webhook_id", "watch_id"),
    *_values("sequence", kind=_Number),
    *_values("attempts", kind=sa.Integer),
    *_values("next_attempt", kind=_Number),
    *_values("failure"),
)
"""Deliveries of a watch's alerts to a webhook, from the first one on. `sequence`: the last alert
that was delivered, or became a dead letter. `attempts`: failures since the last success."""

webhook_dead_letters = sa.Table(
    "webhook_dead_letters",
    metadata,
    *_keys("catalog_id", "webhook_id", "watch_id"),
    sa.Column("sequence", _Number, primary_key=True, autoincrement=False),
    *_values("alert_id", "body"),
    *_values("create_time", "replay_time", kind=_Number),
    *_values("attempts", kind=sa.Integer),
    *_values("next_attempt", kind=_Number),
    *_values("failure"),
)
"""Alerts that could not be delivered in time. `body`: the alert as JSON. `replay_time`: when its
replay was asked for; 0: it is not replayed. `attempts`, `next_attempt`: of the replay."""

jobs = jobs_table(metadata)
leases = leases_table(metadata)
audit = audit_table(metadata)
audit_seals = seals_table(metadata)

sa.event.listen(metadata, "after_create", full_text.create)
