"""Each call of the retriever, cancelled at each await and made again."""

from typing import Any

import pytest

from retriever.wiring import job_queue
from sightline.common.v1 import audit_service_pb2, filter_pb2
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.fakes.photos import photo
from tests.wire.cancelled_calls import Offered, cancel_all, filled
from tests.wire.retriever_shop import Shop, exact_rows, shop, vector, wine
from tests.wire.test_retriever_repeated import CALLS, PHOTO

pytestmark = pytest.mark.full

__all__ = ["exact_rows", "shop"]

VALUES = {
    "entries": audit_service_pb2.AuditEntry(entry_id="e2"),
    "entry": audit_service_pb2.AuditEntry(entry_id="e1"),
    "filter": filter_pb2.Filter(all=filter_pb2.FilterList()),
    "image_id": PHOTO,
    "image_ids": PHOTO,
    "number": 1,
    "prefix": "wi",
    "product_ids": "a",
    "reference_id": "bottle",
    "scene": "home",
    "text": "wine",
    "texts": "wine",
    "vector": vector(photo(seed=1)),
}
ROWS: dict[str, dict[str, Any]] = {
    "AdminService/CreateGeneration": {"name": "other"},
    "ProductService/BrowseProducts": {"order": "NEWEST"},
    "ProductService/CountFacets": {"facets": [{"field": "brand"}]},
    "AdminService/CopyCatalog": {"target_catalog_id": "copy"},
    "CatalogListService/ConfirmRemoval": {"service": "ranker"},
}
NO_BACKUP = "no worker made a backup"
REFUSED = {
    "AdminService/DeleteBackup": NO_BACKUP,
    "AdminService/RestoreBackup": NO_BACKUP,
}
IN_MEMORY = {
    *("KeywordService/SearchKeywords", "KeywordService/SuggestTexts"),
    *("KeywordService/CountKeywords", "ProductService/BatchGetProducts"),
    *("ProductService/BrowseProducts", "ProductService/CountFacets", "VectorService/Search"),
}
"""Calls that have no await of their own, as what they need was read."""


async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing(shop: Shop) -> None:
    await shop.upsert(wine("a", 1, 2), wine("b", 3))
    await shop.stop_worker()
    generation = await shop.record.generation("default", "visual")
    assert generation is not None
    job = await job_queue(shop.db).create("backup", "default", {})
    rows: dict[str, Any] = {
        **dict(CALLS),
        **ROWS,
        "VectorService/UpsertVectors": {
            "vectors": [
                vectors_pb.ImageVector(product_id="a", image_id=PHOTO, vector=vector(photo(seed=1)))
            ]
        },
    }
    offered = Offered(shop.offered, shop.settings, catalogs=shop.catalogs)
    values = {**VALUES, "job_id": job.id}
    for each in ("Backfill", "Verify", "Activate", "Drop"):
        name = f"AdminService/{each}Generation"
        rows[name] = {**rows[name], "name": generation.name}
    for name in ("AdminService/WriteSceneDraft", "AdminService/PublishScene"):
        await offered.answer(name, filled(offered.methods[name], {}, rows[name]))
    awaits = await cancel_all(offered, values, rows, refused=REFUSED)
    assert {name for name, count in awaits.items() if not count} <= IN_MEMORY
