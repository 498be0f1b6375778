"""Each call to the retriever that is declared idempotent has one effect when it is made again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf import field_mask_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from retriever.record.tables import metadata
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import catalog_registry_service_pb2 as catalogs_pb
from sightline.retriever.v1 import synonym_service_pb2 as synonyms_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline_rules.photos import image_id
from tests.fakes.photos import photo
from tests.wire.repeated_calls import methods, repeat
from tests.wire.retriever_shop import PRICE, Shop, exact_rows, shop, vector, wine

pytestmark = pytest.mark.full

__all__ = ["exact_rows", "shop"]

A = wine("a", 1, 2)
PHOTO = image_id(photo(seed=1))
CALLS: Sequence[tuple[str, dict[str, Any]]] = (
    ("CatalogService/UpsertProducts", {"products": [A, wine("b", 3)]}),
    (
        "CatalogService/UpdateProducts",
        {"updates": [gateway_pb.ProductUpdate(product=wine("a", title="Better"))]},
    ),
    (
        "CatalogService/UpdateOffers",
        {"offers": [gateway_pb.Offer(product_id="a", price=PRICE)]},
    ),
    ("VectorService/UpsertVectors", {}),
    ("AdminService/TakeDownPhoto", {"image_id": PHOTO, "reason": "a face"}),
    ("AdminService/LiftTakedown", {"image_id": PHOTO}),
    ("CatalogService/OpenImport", {"import_id": "i1", "mode": 1}),
    (
        "CatalogService/ImportProducts",
        {
            "import_id": "i1",
            "rows": [gateway_pb.ImportRow(row_number=1, product=wine("c"))],
        },
    ),
    ("CatalogService/CloseImport", {"import_id": "i1"}),
    ("CatalogService/MarkDistinctProducts", {"product_ids": ["a", "b", "c"]}),
    ("CatalogService/UnmarkDistinctProducts", {"product_ids": ["a", "b"]}),
    ("CatalogService/DeleteProducts", {"product_ids": ["b", "unknown"]}),
    (
        "AdminService/SetSynonyms",
        {"rules": [synonyms_pb.SynonymRule(terms=["rosso"], replacements=["red"])]},
    ),
    ("AdminService/WriteSceneDraft", {"scene": "home", "toml": "views = 1"}),
    ("AdminService/PublishScene", {"scene": "home", "in_advance": True}),
    ("AdminService/WriteSceneDraft", {"scene": "home", "toml": "views = 2"}),
    (
        "AdminService/PublishScene",
        {
            "scene": "home",
            "in_advance": True,
            "publish_time": Timestamp(seconds=int(time.time()) + 86_400),
        },
    ),
    ("AdminService/CancelPlannedScene", {"scene": "home"}),
    ("AdminService/DeleteSceneDocument", {"scene": "home"}),
    ("AdminService/BackfillGeneration", {"request_id": "r1"}),
    ("AdminService/VerifyGeneration", {"request_id": "r2"}),
    ("AdminService/ActivateGeneration", {}),
    ("AdminService/DropGeneration", {"request_id": "r3"}),
    (
        "AdminService/CreateCatalog",
        {"catalog_id": "new", "catalog": catalogs_pb.Catalog(display_name="New")},
    ),
    (
        "AdminService/UpdateCatalog",
        {
            "catalog_id": "new",
            "catalog": catalogs_pb.Catalog(display_name="Newer"),
            "update_mask": field_mask_pb2.FieldMask(paths=["display_name"]),
        },
    ),
    ("AdminService/SetCatalogAlias", {"catalog_id": "new", "alias_id": "live"}),
    ("AdminService/DeleteCatalogAlias", {"catalog_id": "new", "alias_id": "live"}),
    ("AdminService/DeleteCatalog", {"catalog_id": "new", "undo_days": 3}),
    ("AdminService/UndeleteCatalog", {"catalog_id": "new"}),
)
INDEXED_AGAIN = ("changes", "outbox", "sequences", "vectors")
"""A vector that is given again is written to the index again."""
ELSEWHERE = {
    "AdminService/DeleteBackup": "unit/retriever/backup/test_backups.py",
}
"""Calls that are repeated by the tests in these files."""


def test_every_call_that_is_made_again_is_made_twice() -> None:
    assert methods("retriever").keys() == {name for name, _ in CALLS} | ELSEWHERE.keys()


async def test_a_call_that_is_made_again_has_one_effect(shop: Shop) -> None:
    """Calls of one shop, one after another, while no worker changes anything."""
    await shop.stop_worker()
    generation = await shop.record.generation("default", "visual")
    assert generation is not None
    known, refused = methods("retriever"), set[str]()
    for name, fields in CALLS:
        given = dict(fields)
        if name.endswith("Generation"):
            given["name"] = generation.name
        elif name == "VectorService/UpsertVectors":
            one = vectors_pb.ImageVector(
                product_id="a", image_id=PHOTO, vector=vector(photo(seed=1))
            )
            given["vectors"] = [one]
        beside = INDEXED_AGAIN if name == "VectorService/UpsertVectors" else ()
        answer = await repeat(shop.channel, shop.db, metadata, known[name], given, beside)
        if answer.split(":")[0].isupper():
            refused.add(name)
    assert refused == {"AdminService/DropGeneration"}, "the one that serves can't be dropped"
