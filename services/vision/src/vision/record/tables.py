"""The record's tables. Times are microseconds since 1970 (UTC). `catalog_id`: a catalog's key
(domain/catalog_keys.py)."""

from functools import partial

import sqlalchemy as sa

from servicekit.jobs.queue import jobs_table
from servicekit.sql.leases import leases_table
from servicekit.sql.schema import STORABLE_TEXT, keys, texts

metadata = sa.MetaData()

_Number = sa.BigInteger()
_keys, _values = partial(keys, kind=STORABLE_TEXT), partial(texts, kind=STORABLE_TEXT)

sequences = sa.Table(
    "sequences", metadata, *_keys("catalog_id"), *_values("seq", "time", kind=_Number)
)
"""The newest commit of each catalog and its time."""

watches = sa.Table(
    "watches",
    metadata,
    *_keys("catalog_id", "watch_id"),
    *_values("body", "etag"),
    *_values("create_time", "update_time", kind=_Number),
)
"""Watches. `body`: JSON (domain/watch_json.py)."""

watch_states = sa.Table(
    "watch_states",
    metadata,
    *_keys("catalog_id", "watch_id"),
    *_values("body"),
    *_values("revision", kind=_Number),
)
"""State of a watch, learned from its frames. `body`: JSON (domain/watch_json.py), with the state of
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
`body`: JSON of the whole alert (domain/watch_json.py)."""

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

reference_photos = sa.Table(
    "reference_photos",
    metadata,
    *_keys("catalog_id", "reference_id", "photo"),
    *_values("file"),
    *_values("add_time", kind=_Number),
)
"""Photos of drafts: those that a reference will be fitted on. `photo`: SHA-256 of the file that a
caller sent. `file`: name of the stored picture. `add_time`: when it was sent last."""

reference_versions = sa.Table(
    "reference_versions",
    metadata,
    *_keys("catalog_id", "reference_id", "version"),
    *_values("product_id", "state", "file", "body"),
    *_values("create_time", "promote_time", kind=_Number),
    sa.Index("reference_versions_product", "catalog_id", "product_id", "state"),
)
"""Fitted versions of references. `file`: name of the stored memory. `body`: JSON (`MANIFESTS` in
domain/references.py). `promote_time`: of the last promotion; 0: none."""

audit_outbox = sa.Table(
    "audit_outbox",
    metadata,
    *_keys("id"),
    *_values("time", "sequence", kind=_Number),
    *_values("caller", "method", "catalog_id", "request_id"),
)
"""Alerts that are not in the audit log yet, which the retriever has. `sequence`: of the alert.
`catalog_id`: an id, not a key."""

moved_catalogs = sa.Table(
    "moved_catalogs", metadata, *_keys("catalog_id"), *_values("time", kind=_Number)
)
"""Catalogs whose watches were moved out of a retriever's record (record/moving.py)."""

moved_references = sa.Table(
    "moved_references", metadata, *_keys("catalog_id"), *_values("time", kind=_Number)
)
"""Catalogs whose references were moved out of an embedder's folder (move_references.py)."""

jobs = jobs_table(metadata)
leases = leases_table(metadata)
