"""Material of requests: words, how often fields are set, and fields with the same content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightline.common.v1.product_pb2 import Product
from sightline_rules.filter_checks import NAMES
from tests.fuzz import conditions
from tests.fuzz.hostile_values import SCENES, URIS

WEIGHTS: Mapping[str, float] = {
    "Recommend": 4.0,
    "UpsertProducts": 4.0,
    "WriteEvents": 4.0,
    "ListProducts": 3.0,
    "Search": 2.0,
    "UpdateProducts": 2.0,
    "ImportProducts": 2.0,
    "PurgeProducts": 0.4,
    "PurgeEvents": 0.4,
    "CloseImport": 0.4,
    "DeleteWatch": 0.2,
    "DeleteWebhook": 0.2,
    "GetStatus": 0.2,
    "DemoteModel": 0.2,
    "PromoteSpace": 0.1,
    "WatchJob": 0.1,
    "RebuildIndex": 0.1,
    "CreateBackup": 0.1,
    "DeleteBackup": 0.05,
    "TrainModel": 0.02,
    "DeleteReference": 0.02,
}
"""Relative frequency of a call; 1 for all others. Training takes seconds, following a job waits,
each backup is a file, Triton holds each promoted space, a demotion can't be rolled back, and what
was deleted is missing for other calls."""
OFTEN = frozenset(
    {"product_id", "title", "event_id", "shopper", "type", "operator", "value", "field", "products"}
    | {"events", "updates", "offers", "rows", "signals", "import_id", "job_id", "key", "from", "to"}
    | {"product", "row_number", "product_ids", "model_version", "currency_code", "kind"}
    | {"content", "identity", "expression", "text", "user_id", "visitor_id", "number", "flag"}
    | {"attribution_token", "toml", "facets", "hold", "photo_days"}
)
SELDOM: Mapping[str, float] = {
    "etag": 0.05,
    "page_token": 0.08,
    "min_index_token": 0.1,
    "scene": 0.15,
    "parent_id": 0.1,
    "uri": 0.03,
    "image_uri": 0.1,
    "snapshot_uri": 0.05,
    "snapshot_seconds": 0.05,
    "resume_token": 0.1,
    "value": 0.5,
}
RECEIVER = "http://127.0.0.1:9/"
"""Address that webhooks may have; nothing listens there."""
EXPERIMENT = "home"
"""Tried in a long run's shop."""
WORDS: Mapping[str, Sequence[str]] = {
    "brand": conditions.BRANDS,
    "category_path": conditions.LEVELS,
    "tags": conditions.TAGS,
    "currency_code": conditions.CURRENCIES,
    "language_code": ("en", "de", "zh-Hans", "fr-CA"),
    "scene": ("default", "cart", "complete-the-look", "feed", "for-you", "similar", "trending"),
    "field": (*sorted(NAMES), "colour", *(f"attributes.{key}" for key in conditions.KEYS)),
    "uri": URIS,
    "image_uri": URIS,
    "key": conditions.KEYS,
    "kind": ("train", "purge", "delete", "backfill"),
    "request_id": ("r-1", "r-2"),
    "user_id": ("u-1", "u-2", "u-3"),
    "visitor_id": ("v-1", "v-2", "v-3"),
    "session_id": ("s-1", "s-2"),
    "order_id": ("o-1", "o-2"),
    "import_id": ("i-1", "i-2", "i-3", "i-4"),
    "text": conditions.TEXTS,
    "query": ("red", "wine"),
    "title": conditions.TITLES,
    "toml": SCENES,
    "name": (EXPERIMENT, "nothing"),
    "CreateWebhookRequest.uri": (*URIS, *[RECEIVER] * len(URIS)),
    "UpdateWebhookRequest.uri": (*URIS, *[RECEIVER] * len(URIS)),
}
FACETS = ("category", "brand", "price", "availability", f"attributes.{conditions.KEYS[0]}")
POOLS: Mapping[str, str] = {
    "parent_id": "product_id",
    "product_ids": "product_id",
    "exclude_product_ids": "product_id",
    "anchor_product_ids": "product_id",
    "followed": "brand",
    "image_ids": "image_id",
    "next_page_token": "page_token",
    "index_token": "min_index_token",
    "sample_product_ids": "product_id",
    "scenes": "scene",
    "matched_image_id": "image_id",
    "region_ids": "region_id",
    "watch_ids": "watch_id",
    "alert_ids": "alert_id",
    "started_alert_id": "alert_id",
}
"""Fields that hold the same kind of thing."""
POOLED = frozenset(
    {"product_id", "image_id", "page_token", "min_index_token", "attribution_token", "job_id"}
    | {"model_version", "import_id", "etag", "scene", "backup_id", "generation", "space_version"}
    | {"watch_id", "alert_id", "alert_image_id", "resume_token", "webhook_id"}
    | {"reference_id", "reference_version"}
)
PATHS = (*(field.name for field in Product.DESCRIPTOR.fields), "", "*", "price.units", "nothing")
