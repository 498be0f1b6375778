"""Copies of catalogs over real gRPC, with a worker and an engine."""

from __future__ import annotations

import pytest

from sightline.common.v1 import catalog_list_service_pb2 as list_pb
from sightline.common.v1 import job_pb2
from sightline.common.v1 import job_service_pb2 as jobs_pb
from sightline.common.v1.job_service_pb2_grpc import JobServiceStub
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.retriever.v1 import catalog_registry_service_pb2 as pb
from tests.fakes.photos import photo
from tests.peer_stubs import peer_stub
from tests.waiting import until
from tests.wire.retriever_shop import (
    Shop,
    either_way,
    exact_rows,
    refused,
    shop,
    vector,
    wine,
)

__all__ = ["either_way", "exact_rows", "shop"]  # fixtures
COPY = pb.CopyCatalogRequest(target_catalog_id="copy")
GET = pb.GetCatalogRequest(catalog_id="copy")


@pytest.fixture
def registry(shop: Shop) -> AdminServiceStub:
    return peer_stub("retriever", shop.channel)


async def state_of(shop: Shop, job: job_pb2.Job) -> job_pb2.Job.State.ValueType:
    request = jobs_pb.GetJobRequest(catalog_id=job.catalog_id, job_id=job.job_id)
    found: job_pb2.Job = await JobServiceStub(shop.channel).GetJob(request)
    return found.state


async def nearest(shop: Shop, catalog: str, token: str = "") -> list[tuple[str, float]]:
    """Return ids and similarities of all products, nearest to a photo first."""
    answer = await shop.search(
        vector=vector(photo()), catalog_id=catalog, top_k=20, min_index_token=token
    )
    found = zip(answer.candidates.product_ids, answer.similarities, strict=True)
    return [(product_id, round(similarity, 5)) for product_id, similarity in found]


@pytest.mark.full
@either_way
async def test_a_copy_s_searches_equal_the_original_s_and_nothing_is_embedded_again(
    shop: Shop, registry: AdminServiceStub
) -> None:
    written = await shop.upsert(*(wine(f"w{n}", n) for n in range(1, 8)))
    expected = await nearest(shop, "default", written.index_token)
    assert len(expected) == 7
    await until(lambda: all_embedded(shop, "default"))
    embedded = len(shop.embedder.embedded)

    job = await registry.CopyCatalog(COPY)
    assert (job.kind, job.catalog_id) == ("copy_catalog", "default")

    async def succeeded() -> bool:
        return await state_of(shop, job) == job_pb2.Job.STATE_SUCCEEDED

    await until(succeeded)
    again = await shop.products.UpsertProducts(
        gateway_pb.UpsertProductsRequest(catalog_id="copy", products=[wine("w9", 9)])
    )
    await until(lambda: all_embedded(shop, "copy"))
    assert len(shop.embedder.embedded) == embedded + 1  # w9's photo
    await shop.products.DeleteProducts(
        gateway_pb.DeleteProductsRequest(catalog_id="copy", product_ids=["w9"])
    )
    found = [each for each in await nearest(shop, "copy", again.index_token) if each[0] != "w9"]
    assert found == expected
    with refused("ALREADY_EXISTS", "CATALOG_EXISTS"):
        await registry.CopyCatalog(COPY)


async def all_embedded(shop: Shop, catalog: str) -> bool:
    """Return whether no photo of a catalog is pending."""
    found = [
        await shop.record.counts(catalog, each) for each in await shop.record.generations(catalog)
    ]
    return bool(found) and not any(each.pending for each in found)


@pytest.mark.full
async def test_a_copy_that_no_worker_began_is_refused_to_all_and_can_be_deleted(
    shop: Shop, registry: AdminServiceStub
) -> None:
    await shop.stop_worker()
    await shop.upsert(wine("w1", 1))
    job = await registry.CopyCatalog(COPY)
    found = await registry.GetCatalog(GET)
    assert (found.state, found.copied_from) == (list_pb.CATALOG_STATE_COPYING, "default")
    write = gateway_pb.UpsertProductsRequest(catalog_id="copy", products=[wine("w2", 2)])
    with refused("FAILED_PRECONDITION", "CATALOG_COPYING", "catalog_id"):
        await shop.products.UpsertProducts(write)
    with refused("FAILED_PRECONDITION", "CATALOG_COPYING"):
        await registry.SetCatalogAlias(
            pb.SetCatalogAliasRequest(alias_id="shop", catalog_id="copy")
        )
    cancel = jobs_pb.CancelJobRequest(job_id=job.job_id)
    await JobServiceStub(shop.channel).CancelJob(cancel)
    assert await state_of(shop, job) == job_pb2.Job.STATE_CANCELLED
    await registry.DeleteCatalog(pb.DeleteCatalogRequest(catalog_id="copy"))
    with refused("FAILED_PRECONDITION", "CATALOG_REMOVING"):
        await registry.UndeleteCatalog(pb.UndeleteCatalogRequest(catalog_id="copy"))
    shop.start_worker()

    async def removed_here() -> bool:
        return list((await registry.GetCatalog(GET)).pending_services) == ["embedder", "ranker"]

    await until(removed_here)


async def test_aliases_are_changed_and_read_by_services(
    shop: Shop, registry: AdminServiceStub
) -> None:
    request = pb.SetCatalogAliasRequest(alias_id="shop", catalog_id="other")
    made = await registry.SetCatalogAlias(request)
    assert await registry.SetCatalogAlias(request) == made
    request = pb.SetCatalogAliasRequest(alias_id="shop", catalog_id="default", etag="old")
    with refused("ABORTED", "ETAG_MISMATCH"):
        await registry.SetCatalogAlias(request)
    listed = await registry.ListCatalogAliases(pb.ListCatalogAliasesRequest())
    assert list(listed.aliases) == [made]
    with refused("FAILED_PRECONDITION", "CATALOG_IS_ALIAS", "catalog_id"):
        await registry.CreateCatalog(pb.CreateCatalogRequest(catalog_id="shop"))
    # Only the gateway replaces aliases: other services know catalogs alone.
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await shop.products.UpsertProducts(
            gateway_pb.UpsertProductsRequest(catalog_id="shop", products=[wine("w1", 1)])
        )
    delete = pb.DeleteCatalogAliasRequest(alias_id="shop", etag=made.etag)
    assert (await registry.DeleteCatalogAlias(delete)).deleted
    assert not (await registry.DeleteCatalogAlias(delete)).deleted
