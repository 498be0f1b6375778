"""The gateway's catalog and job calls: the forwarded requests, and the answers."""

from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type import money_pb2

from gateway.model.filters import expression
from servicekit.errors import FailedPrecondition, FieldViolation, ServiceError
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import filter_pb2, import_pb2, job_service_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as pb
from tests.fakes.gateway_wire import Suite, running


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with running() as found:
        yield found


async def refused(call) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def sent(suite: Suite, method: str):
    (request,) = suite.retriever.script.requests(method)
    return request


def passed_on(request, seen) -> None:
    """Check that the peer got exactly the caller's request."""
    assert seen.SerializeToString(deterministic=True) == request.SerializeToString(
        deterministic=True
    )


async def test_changes_in_part_are_passed_on_with_their_masks(suite):
    request = pb.UpdateProductsRequest(
        catalog_id="other",
        request_id="r1",
        updates=[
            pb.ProductUpdate(
                product=product_pb2.Product(product_id="p9", title="New"),
                update_mask=FieldMask(paths=["title", "price"]),
            ),
            pb.ProductUpdate(product=product_pb2.Product(product_id="p1")),
        ],
    )
    answer = await suite.catalog.UpdateProducts(request)
    seen = sent(suite, "UpdateProducts")
    assert [list(item.update_mask.paths) for item in seen.updates] == [["title", "price"], []]
    assert (seen.catalog_id, seen.request_id) == ("other", "r1")
    assert seen.updates[0].product == request.updates[0].product
    assert from_status(answer.results[0].status).reason == "PRODUCT_NOT_FOUND"
    assert answer.index_token == "t4"


async def test_offers_are_passed_on_with_what_stays_left_out(suite):
    request = pb.UpdateOffersRequest(
        catalog_id="default",
        request_id="r1",
        offers=[
            pb.Offer(product_id="a", price=money_pb2.Money(currency_code="EUR")),
            pb.Offer(product_id="b", availability=product_pb2.AVAILABILITY_PREORDER),
        ],
    )
    answer = await suite.catalog.UpdateOffers(request)
    passed_on(request, sent(suite, "UpdateOffers"))
    assert [item.code for item in answer.statuses] == [0, 3]
    assert answer.index_token == "t5"


@pytest.mark.parametrize("given", [None, filter_pb2.Filter(all=filter_pb2.FilterList())])
async def test_a_purge_is_passed_on_with_its_filter_or_without(suite, given):
    request = pb.PurgeProductsRequest(catalog_id="default", filter=given, force=given is not None)
    answer = await suite.catalog.PurgeProducts(request)
    passed_on(request, sent(suite, "PurgeProducts"))
    assert (answer.product_count, list(answer.sample_product_ids)) == (2, ["p1", "p2"])
    assert answer.HasField("job") == request.force
    assert answer.job.job_id == ("retriever/9" if request.force else "")


@pytest.mark.parametrize("text", ["brand = Aurora AND NOT price < 30 EUR", ""])
async def test_the_retriever_gets_the_expression_of_a_text(suite, text):
    given = filter_pb2.Filter(text=text)
    meant = expression(text)
    await suite.catalog.PurgeProducts(pb.PurgeProductsRequest(filter=given))
    await suite.catalog.ListProducts(pb.ListProductsRequest(filter=given))
    for method in ("PurgeProducts", "ListProducts"):
        found = sent(suite, method)
        assert found.HasField("filter")
        assert found.filter == meant


async def test_an_import_is_passed_on_call_by_call(suite):
    opened = pb.OpenImportRequest(
        catalog_id="default", import_id="i", mode=import_pb2.IMPORT_MODE_FULL
    )
    state = await suite.catalog.OpenImport(opened)
    passed_on(opened, sent(suite, "OpenImport"))
    assert (state.import_id, state.mode, state.rows_done) == ("i", import_pb2.IMPORT_MODE_FULL, 7)

    rows = pb.ImportProductsRequest(
        catalog_id="default",
        import_id="i",
        rows=[
            pb.ImportRow(row_number=8, product=product_pb2.Product(product_id="a", title="A")),
            pb.ImportRow(row_number=2**62),
        ],
    )
    taken = await suite.catalog.ImportProducts(rows)
    passed_on(rows, sent(suite, "ImportProducts"))
    assert [item.etag for item in taken.results] == ["e8", f"e{2**62}"]
    assert (taken.state.rows_done, taken.index_token) == (8, "t6")

    close = pb.CloseImportRequest(catalog_id="default", import_id="i", force=True, dry_run=True)
    closed = await suite.catalog.CloseImport(close)
    passed_on(close, sent(suite, "CloseImport"))
    assert (closed.state.closed, closed.delete_count) == (True, 3)
    assert list(closed.sample_product_ids) == ["p3"]
    assert not closed.HasField("job")
    closed = await suite.catalog.CloseImport(pb.CloseImportRequest(import_id="i"))
    assert closed.job.job_id == "retriever/10"


async def test_a_refusal_of_the_retriever_keeps_reason_and_fields(suite):
    suite.retriever.script.errors["OpenImport"] = FailedPrecondition(
        "other mode", reason="IMPORT_MODE_MISMATCH", violations=[FieldViolation("mode", "x")]
    )
    error = await refused(suite.catalog.OpenImport(pb.OpenImportRequest(import_id="i")))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "IMPORT_MODE_MISMATCH")
    assert [item.field for item in error.violations] == ["mode"]


async def test_batches_out_of_range_and_unknown_catalogs_reach_no_peer(suite):
    catalog = suite.catalog
    for call, request in (
        (catalog.UpdateProducts, pb.UpdateProductsRequest(updates=[pb.ProductUpdate()] * 101)),
        (catalog.UpdateOffers, pb.UpdateOffersRequest(offers=[pb.Offer()] * 1_001)),
        (catalog.ImportProducts, pb.ImportProductsRequest(rows=[pb.ImportRow()] * 101)),
    ):
        assert (await refused(call(request))).reason == "REQUEST_INVALID"
    for call, request in (
        (catalog.UpdateProducts, pb.UpdateProductsRequest),
        (catalog.UpdateOffers, pb.UpdateOffersRequest),
        (catalog.PurgeProducts, pb.PurgeProductsRequest),
        (catalog.OpenImport, pb.OpenImportRequest),
        (catalog.ImportProducts, pb.ImportProductsRequest),
        (catalog.CloseImport, pb.CloseImportRequest),
    ):
        assert (await refused(call(request(catalog_id="nope")))).reason == "CATALOG_NOT_FOUND"
    assert not suite.retriever.script.seen


# Jobs of all owners


async def test_a_job_is_asked_of_the_owner_in_front_of_its_id(suite):
    for owner in ("retriever", "ranker", "vision"):
        peer = getattr(suite, owner)
        request = job_service_pb2.GetJobRequest(job_id=f"{owner}/7")
        assert (await suite.jobs.GetJob(request)).job_id == f"{owner}/7"
        await suite.jobs.CancelJob(job_service_pb2.CancelJobRequest(job_id=f"{owner}/7"))
        watch = suite.jobs.WatchJob(job_service_pb2.WatchJobRequest(job_id=f"{owner}/7"))
        assert [item.done async for item in watch] == [1, 2]
        assert [item.method for item in peer.script.seen] == [
            *("GetJob", "GetJob", "CancelJob", "WatchJob")  # the kind says who may cancel it
        ]


async def test_jobs_of_all_owners_are_listed_newest_first_and_page_by_page(suite):
    suite.retriever_jobs.clear()
    suite.ranker_jobs.clear()
    suite.retriever_jobs.update({f"{n:03}": n for n in range(1, 40, 3)})
    suite.ranker_jobs.update({f"{n:03}": n for n in range(2, 40, 2)})
    suite.vision_jobs.update({f"{n:03}": n for n in range(5, 40, 7)})
    whole = await suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_size=1_000))
    times = [item.create_time.seconds for item in whole.jobs]
    assert times == sorted(times, reverse=True)
    count = sum(map(len, (suite.retriever_jobs, suite.ranker_jobs, suite.vision_jobs)))
    assert len({item.job_id for item in whole.jobs}) == count
    assert not whole.next_page_token

    paged, token = [], ""
    while True:
        request = job_service_pb2.ListJobsRequest(page_size=4, page_token=token)
        answer = await suite.jobs.ListJobs(request)
        paged += [item.job_id for item in answer.jobs]
        token = answer.next_page_token
        if not token:
            break
        # A job that is made meanwhile is newer than all that was shown.
        suite.retriever_jobs[f"9{len(paged):03}"] = 1_000 + len(paged)
    shown = [item.create_time.seconds for item in whole.jobs]
    assert len(paged) == len(set(paged)) == len(shown)
    assert set(paged) == {item.job_id for item in whole.jobs}


async def test_a_list_of_jobs_without_one_owner_is_refused_rather_than_half(suite):
    await suite.ranker.down()
    error = await refused(suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(), timeout=30))
    assert (error.code, error.reason) == ("UNAVAILABLE", "RANKER_UNAVAILABLE")
    found = await suite.jobs.GetJob(job_service_pb2.GetJobRequest(job_id="retriever/2"))
    assert found.job_id == "retriever/2"


async def test_a_page_token_of_another_list_is_refused(suite):
    suite.ranker_jobs.update({"8": 8, "9": 9})
    first = await suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_size=1))
    for fields in ({"kind": "train"}, {"catalog_id": "other"}):
        request = job_service_pb2.ListJobsRequest(page_token=first.next_page_token, **fields)
        assert (await refused(suite.jobs.ListJobs(request))).reason == "PAGE_TOKEN_INVALID"
