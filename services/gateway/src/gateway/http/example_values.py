"""Values of the examples that neither the descriptors nor their comments give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.http.mapping.kinds import MONEY, PACKAGE

TIME: Final = "2026-11-01T12:00:00Z"
TEXTS: Final[Mapping[str, str]] = {
    "alert_id": "alert-1",
    "alias_id": "shop",
    "answer_id": "answer-1",
    "arm": "new-weights",
    "attribution_token": "eyJhbnN3ZXIiOiIxIn0",
    "backup_id": "backup-1",
    "brand": "Estate Dole",
    "caller": "shop",
    "catalog_id": "default",
    "category_path": "Wine",
    "currency": "EUR",
    "currency_code": "EUR",
    "description": "Light, with red fruit",
    "display_name": "Wine shop",
    "etag": "2f1c",
    "event_id": "click-1",
    "field": "brand",
    "filter_text": 'category = "Red"',
    "image_id": "0b5c9d7e4f31",
    "image_uri": "https://photos.example.com/100062.jpg",
    "import_id": "import-1",
    "index_token": "dG9rZW4",
    "job_id": "ranker/17",
    "language_code": "en",
    "market_id": "ch",
    "message_id": "msg-1",
    "metric": "ndcg",
    "model_version": "20261101-1",
    "next_page_token": "bmV4dA",
    "name": "summer",
    "order_id": "order-1",
    "page_token": "bmV4dA",
    "parent_id": "100060",
    "prefix": "mer",
    "product_id": "100062",
    "query": "light red wine",
    "reason": "rights",
    "reference_id": "bottle",
    "region_id": "left",
    "request_id": "request-1",
    "resume_token": "cGxhY2U",
    "rule_id": "gone",
    "scene": "similar",
    "secret": "whsec_c2VjcmV0",
    "session_id": "visit-1",
    "shelf_id": "for-you",
    "snapshot_uri": "https://camera.example.com/still.jpg",
    "space": "visual",
    "space_version": "dfbfc4ba16ea186d",
    "tag": "organic",
    "text": "light red wine",
    "title": "Dôle des Monts",
    "toml": "category_weight = 0.1",
    "uri": "https://shop.example.com/100062",
    "user_id": "ann",
    "version": "v1",
    "visitor_id": "cookie-7",
    "watch_id": "door",
    "webhook_id": "alerts",
}
"""Texts of fields by name, where no comment gives an example."""
KNOWN: Final[Mapping[str, Any]] = {
    f"{PACKAGE}Timestamp": TIME,
    f"{PACKAGE}Duration": "0.012s",
    f"{PACKAGE}FieldMask": "title,price",
    MONEY: {"currencyCode": "EUR", "units": "12", "nanos": 500_000_000, "amount": "12.50"},
}
"""JSON of messages that are no object of their fields, or of more than these."""
PHOTO: Final = "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="
_ANN: Final = {"userId": "ann"}
_PRODUCT: Final = {
    "productId": "100062",
    "title": "Dôle des Monts",
    "categoryPath": ["Wine", "Red"],
}
MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "AddReferencePhotos": {"images": [PHOTO]},
    "CheckScene": {"toml": "category_weight = 0.1"},
    "Classify": {"image": PHOTO, "topK": 3},
    "CreateWebhook": {
        "webhookId": "alerts",
        "uri": "https://shop.example.com/alerts",
        "watchIds": ["door"],
    },
    "CreateCatalog": {"catalog": {"displayName": "Wine shop", "languageCode": "en"}},
    "CopyCatalog": {"targetCatalogId": "staging"},
    "DetectProducts": {"image": PHOTO, "maxDetections": 20},
    "DiffScene": {"toml": "category_weight = 0.1"},
    "DrawHeatMap": {"image": PHOTO, "productId": "100062"},
    "ExplainRecommendation": {
        "request": {"catalogId": "default", "signals": [{"productId": "100062"}]},
        "productId": "100191",
    },
    "GetConsent": {"shopper": _ANN},
    "ImportProducts": {"rows": [{"rowNumber": "1", "product": _PRODUCT}]},
    "Inspect": {"image": PHOTO, "referenceId": "bottle"},
    "MergeShopper": {"from": {"visitorId": "cookie-7"}, "to": _ANN},
    "PurgeEvents": {"beforeTime": TIME},
    "PurgeProducts": {"filter": {"text": 'category = "Red"'}},
    "SendFrames": {"frames": [{"image": PHOTO, "frameTime": TIME}]},
    "SetCatalogAlias": {"catalogId": "default"},
    "SetConsent": {"shopper": _ANN, "given": ["PURPOSE_PERSONALISE"], "source": "account"},
    "SetShopperAttributes": {
        "shopper": _ANN,
        "attributes": [{"key": "age_band", "text": "25-34"}],
        "consent": True,
    },
    "SetSynonyms": {"rules": [{"terms": ["sparkling", "bubbly"]}]},
    "WriteSceneDraft": {"toml": "category_weight = 0.1", "comment": "Christmas"},
    "UpdateCatalog": {"catalog": {"displayName": "Wine shop"}, "updateMask": "displayName"},
    "UpdateProducts": {
        "updates": [
            {"product": {"productId": "100062", "brand": "Estate Dole"}, "updateMask": "brand"}
        ]
    },
    "UpdateWebhook": {"uri": "https://shop.example.com/alerts"},
}
"""Members of requests beside the required ones, of calls that no page shows in JSON."""
