"""The registry of catalogs over real gRPC: created, used at once, changed, and read by services."""

from __future__ import annotations

from pathlib import Path

import pytest

from servicekit.catalogs.known import KnownCatalogs
from servicekit.catalogs.removal import RemovalNotes
from servicekit.rpc.catalog_registry import RemoteRegistry
from sightline.common.v1 import catalog_list_service_pb2 as list_pb
from sightline.common.v1.catalog_list_service_pb2_grpc import CatalogListServiceStub
from sightline.gateway.v1 import catalog_service_pb2
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.gateway.v1.catalog_service_pb2 import ListProductsRequest
from sightline.retriever.v1 import catalog_registry_service_pb2 as pb
from tests.fakes.gateway_wire import running
from tests.peer_stubs import peer_stub
from tests.waiting import until
from tests.wire.retriever_shop import Shop, either_way, exact_rows, reason, refused, shop, wine

__all__ = ["either_way", "exact_rows", "shop"]  # fixtures
SHARE = "quota_share"


@pytest.fixture
def registry(shop: Shop) -> AdminServiceStub:
    return peer_stub("retriever", shop.channel)


async def test_products_of_a_new_catalog_are_written_and_indexed(
    shop: Shop, registry: AdminServiceStub
) -> None:
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await shop.products.UpsertProducts(
            catalog_service_pb2.UpsertProductsRequest(catalog_id="new", products=[wine("w1", 1)])
        )
    made = await registry.CreateCatalog(pb.CreateCatalogRequest(catalog_id="new"))
    assert (made.quota_share, made.declared) == (1.0, False)
    written = await shop.products.UpsertProducts(
        catalog_service_pb2.UpsertProductsRequest(catalog_id="new", products=[wine("w1", 1)])
    )
    assert [reason(each.status) for each in written.results] == ["OK"]
    found = await shop.seen(written.index_token, catalog_id="new")
    assert list(found.candidates.product_ids) == ["w1"]


async def test_services_read_the_list_once_for_each_change(
    shop: Shop, registry: AdminServiceStub
) -> None:
    stub = CatalogListServiceStub(shop.channel)
    first = await stub.ReadCatalogList(list_pb.ReadCatalogListRequest())
    again = await stub.ReadCatalogList(
        list_pb.ReadCatalogListRequest(known_revision=first.revision)
    )
    assert (again.not_modified, len(again.catalogs)) == (True, 0)
    await registry.CreateCatalog(
        pb.CreateCatalogRequest(catalog_id="new", catalog=pb.Catalog(quota_share=0.5))
    )
    changed = await stub.ReadCatalogList(
        list_pb.ReadCatalogListRequest(known_revision=first.revision)
    )
    (entry,) = changed.catalogs
    assert (entry.catalog_id, entry.quota_share) == ("new", 0.5)
    assert entry.state == list_pb.CATALOG_STATE_ACTIVE


async def test_a_catalog_is_listed_and_changed(registry: AdminServiceStub) -> None:
    await registry.CreateCatalog(pb.CreateCatalogRequest(catalog_id="new"))
    page = await registry.ListCatalogs(pb.ListCatalogsRequest(page_size=2))
    assert [(each.catalog_id, each.declared) for each in page.catalogs] == [
        ("default", True),
        ("new", False),
    ]
    request = pb.UpdateCatalogRequest(catalog_id="new", catalog=pb.Catalog(display_name="N"))
    with refused("INVALID_ARGUMENT", "FIELD_MASK_INVALID", "update_mask"):
        await registry.UpdateCatalog(request)
    request.update_mask.paths.append("display_name")
    assert (await registry.UpdateCatalog(request)).display_name == "N"
    request.catalog.etag = "old"  # as before its own change: the call is made again
    assert (await registry.UpdateCatalog(request)).display_name == "N"
    request.catalog.display_name = "M"
    with refused("ABORTED", "ETAG_MISMATCH"):
        await registry.UpdateCatalog(request)
    with refused("ALREADY_EXISTS", "CATALOG_EXISTS"):
        await registry.CreateCatalog(pb.CreateCatalogRequest(catalog_id="other"))
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await registry.GetCatalog(pb.GetCatalogRequest(catalog_id="nowhere"))


async def test_a_gateway_refuses_calls_above_the_share_of_quotas_that_a_catalog_is_given(
    shop: Shop, registry: AdminServiceStub
) -> None:
    """A burst of 100 calls in a catalog, of which one call is left by a share of a hundredth."""
    quotas = {"quota_calls": 1.0, "quota_burst_seconds": 100.0}
    async with running(retriever_target=shop.target, **quotas) as suite:

        async def calls(catalog: str) -> None:
            for _ in range(3):
                await suite.catalog.ListProducts(ListProductsRequest(catalog_id=catalog))

        await suite.admin.CreateCatalog(pb.CreateCatalogRequest(catalog_id="new"))
        await calls("new")
        request = pb.UpdateCatalogRequest(
            catalog_id="new", catalog=pb.Catalog(quota_share=0.01), update_mask={"paths": [SHARE]}
        )
        assert (await suite.admin.UpdateCatalog(request)).quota_share == 0.01
        with refused("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED"):
            await calls("new")
        await calls("default")
        request.catalog.quota_share = 1.0
        await registry.UpdateCatalog(request)
        await suite.catalogs.refresh()
        await calls("new")


def files_with(folder: Path, word: bytes) -> list[Path]:
    """Return the files below a folder that contain a word, in any case."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert len(files) > 1
    return [each for each in files if word in each.read_bytes().lower()]


async def test_a_deleted_catalog_is_refused_restored_and_removed(
    shop: Shop, registry: AdminServiceStub, tmp_path: Path
) -> None:
    made = await registry.CreateCatalog(pb.CreateCatalogRequest(catalog_id="new"))
    request = catalog_service_pb2.UpsertProductsRequest(catalog_id="new", products=[wine("w1", 1)])
    request.products[0].title = "Zanzibarquux"
    written = await shop.products.UpsertProducts(request)
    await shop.seen(written.index_token, catalog_id="new")

    deleted = await registry.DeleteCatalog(pb.DeleteCatalogRequest(catalog_id="new"))
    assert deleted.state == list_pb.CATALOG_STATE_DELETED
    assert (deleted.purge_time.seconds - deleted.delete_time.seconds) == 7 * 86_400
    with refused("NOT_FOUND", "CATALOG_DELETED", "catalog_id"):
        await shop.products.UpsertProducts(request)
    await registry.UndeleteCatalog(pb.UndeleteCatalogRequest(catalog_id="new"))
    await shop.products.UpsertProducts(request)

    await registry.DeleteCatalog(pb.DeleteCatalogRequest(catalog_id="new", undo_days=0))
    get = pb.GetCatalogRequest(catalog_id="new")

    async def removed_here() -> bool:
        return list((await registry.GetCatalog(get)).pending_services) == ["embedder", "ranker"]

    await until(removed_here)
    with refused("FAILED_PRECONDITION", "CATALOG_REMOVING"):
        await registry.UndeleteCatalog(pb.UndeleteCatalogRequest(catalog_id="new"))
    assert await shop.record.product_count("new", 10) == 0
    assert await shop.record.history("new") == []
    assert not files_with(tmp_path, b"anzibarquux")

    services = KnownCatalogs(("default",), RemoteRegistry(shop.channel))
    await services.refresh()
    (entry,) = services.removing()
    for service in ("embedder", "ranker"):
        await RemovalNotes(shop.channel, service).confirm(entry)
    assert (await registry.GetCatalog(get)).state == list_pb.CATALOG_STATE_REMOVED
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await shop.products.UpsertProducts(request)
    again = await registry.CreateCatalog(pb.CreateCatalogRequest(catalog_id="new"))
    assert again.create_time.ToMicroseconds() > made.create_time.ToMicroseconds()
    await shop.products.UpsertProducts(request)
    with refused("FAILED_PRECONDITION", "CATALOG_DECLARED"):
        await registry.DeleteCatalog(pb.DeleteCatalogRequest(catalog_id="other"))
