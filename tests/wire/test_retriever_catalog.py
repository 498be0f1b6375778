"""The catalog's later calls over real gRPC and real SQLite; the jobs in real worker processes.

No engine and no embedder run: neither is needed for what is asked here.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type import money_pb2

from servicekit.status import from_status
from sightline.common.v1 import filter_pb2, job_pb2, job_service_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from tests.waiting import until
from tests.wire.catalog_shop import (
    ENDED,
    EVERYTHING,
    FULL,
    Shop,
    brand,
    refused,
    reported,
    row,
    shop,
    wine,
)

__all__ = ["shop"]  # fixtures


async def test_a_change_keeps_what_its_mask_does_not_name(shop: Shop) -> None:
    request = gateway_pb.UpsertProductsRequest(
        products=[wine("a", 1, 2, brand="Estate", tags=["x"])]
    )
    await shop.products.UpsertProducts(request)
    before = await shop.get("a")

    change = gateway_pb.ProductUpdate(
        product=product_pb2.Product(product_id="a", title="New", brand="not named"),
        update_mask=FieldMask(paths=["title", "tags"]),
    )
    answer = await shop.products.UpdateProducts(
        gateway_pb.UpdateProductsRequest(
            updates=[
                change,
                gateway_pb.ProductUpdate(
                    product=wine("no"), update_mask=FieldMask(paths=["price.units"])
                ),
                gateway_pb.ProductUpdate(product=wine("unknown")),
            ]
        )
    )

    assert [reported(item.status) for item in answer.results] == [
        "OK",
        "FIELD_MASK_INVALID updates[1].update_mask.paths[0]",
        "PRODUCT_NOT_FOUND",
    ]
    after = await shop.get("a")
    assert (after.title, list(after.tags), after.brand) == ("New", [], "Estate")
    assert after.images == before.images
    assert len(after.images) == 2
    assert answer.results[0].etag == after.etag
    assert answer.index_token

    # What was read can be sent back as it is: read-only fields are passed over.
    after.title, whole = "Newer", gateway_pb.UpdateProductsRequest()
    whole.updates.add().product.CopyFrom(after)
    again = await shop.products.UpdateProducts(whole)
    assert reported(again.results[0].status) == "OK"
    assert (await shop.get("a")).images == before.images
    retried = await shop.products.UpdateProducts(whole)
    assert reported(retried.results[0].status) == "OK"
    whole.updates[0].product.title = "Newest"
    stale = await shop.products.UpdateProducts(whole)
    assert reported(stale.results[0].status) == "ETAG_MISMATCH"


async def test_offers_follow_at_once_in_filters_and_answers(shop: Shop) -> None:
    await shop.products.UpsertProducts(
        gateway_pb.UpsertProductsRequest(products=[wine("a"), wine("b")])
    )
    sold_out = product_pb2.AVAILABILITY_OUT_OF_STOCK
    answer = await shop.products.UpdateOffers(
        gateway_pb.UpdateOffersRequest(
            offers=[
                gateway_pb.Offer(
                    product_id="a", price=money_pb2.Money(currency_code="EUR", units=9)
                ),
                gateway_pb.Offer(product_id="b", availability=sold_out),
                gateway_pb.Offer(product_id="c", availability=sold_out),
                gateway_pb.Offer(product_id="d", price=money_pb2.Money(currency_code="€", units=1)),
                gateway_pb.Offer(
                    product_id="e", price=money_pb2.Money(currency_code="EUR", nanos=-1)
                ),
                gateway_pb.Offer(product_id="f", availability=99),
            ]
        )
    )
    assert [reported(status) for status in answer.statuses] == [
        "OK",
        "OK",
        "PRODUCT_NOT_FOUND",
        "OFFER_INVALID offers[3].price.currency_code",
        "OFFER_INVALID offers[4].price.nanos",
        "OFFER_INVALID offers[5].availability",
    ]
    a, b = await shop.get("a"), await shop.get("b")
    assert (a.price.units, a.availability) == (9, product_pb2.AVAILABILITY_IN_STOCK)
    assert (b.price.units, b.availability) == (5, sold_out)


# Imports


@pytest.mark.when("kit", "rules", "services/retriever")
async def test_an_import_goes_on_where_it_stopped_and_its_end_deletes_what_is_gone(
    shop: Shop,
) -> None:
    for name in ("a", "b", "gone"):
        await shop.products.UpsertProducts(gateway_pb.UpsertProductsRequest(products=[wine(name)]))
    opened = await shop.open("i", FULL)
    assert (opened.import_id, opened.mode, opened.rows_done) == ("i", FULL, 0)
    first = await shop.send("i", row(1, "a", 1), row(2, "bad", title=""))
    assert [reported(item.status) for item in first.results] == [
        "OK",
        "PRODUCT_INVALID product.title",
    ]
    assert (first.state.rows_done, first.state.stored_count, first.state.refused_count) == (2, 1, 1)

    assert (await shop.open("i", FULL)).rows_done == 2
    again = await shop.send("i", row(2, "now good"), row(3, "b"))
    assert again.results[0] == first.results[1].__class__(
        status=first.results[1].status, product_id="now good"
    )
    with refused("FAILED_PRECONDITION", "IMPORT_MODE_MISMATCH", "mode"):
        await shop.open("i")
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "mode"):
        await shop.open("j", 9)
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "rows[0].row_number"):
        await shop.send("i", row(0, "a"))
    with refused("NOT_FOUND", "IMPORT_NOT_FOUND"):
        await shop.send("unknown", row(1, "a"))

    shown = await shop.close("i", dry_run=True)
    assert (shown.delete_count, list(shown.sample_product_ids)) == (1, ["gone"])
    assert (shown.state.closed, shown.HasField("job")) == (False, False)
    closed = await shop.close("i")
    assert (closed.state.closed, closed.job.kind) == (True, "close_import")
    assert closed.job.job_id.startswith("retriever/")
    with refused("FAILED_PRECONDITION", "IMPORT_CLOSED"):
        await shop.send("i", row(4, "c"))

    async with shop.worker():
        watch = shop.jobs.WatchJob(job_service_pb2.WatchJobRequest(job_id=closed.job.job_id))
        seen = [job async for job in watch]
    assert seen[-1].state == job_pb2.Job.STATE_SUCCEEDED
    assert [(item.name, item.value) for item in seen[-1].results] == [("deleted_count", "1")]
    assert (await shop.get("a")).title == "Wine a"
    assert await shop.held() == 2


async def test_an_end_that_deletes_too_much_takes_force(shop: Shop) -> None:
    await shop.stock(10)
    await shop.open("i", FULL)
    await shop.send("i", *(row(n + 1, f"p{n}") for n in range(4)))
    with refused("FAILED_PRECONDITION", "IMPORT_DELETES_TOO_MUCH"):
        await shop.close("i")
    assert (await shop.close("i", force=True)).delete_count == 6


# Purges and jobs


async def test_a_purge_takes_a_filter_that_says_something(shop: Shop) -> None:
    for given in (None, filter_pb2.Filter()):
        with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "filter"):
            await shop.products.PurgeProducts(
                gateway_pb.PurgeProductsRequest(filter=given, force=True)
            )
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.field"):
        unknown = brand("x")
        unknown.comparison.field = "colour"
        await shop.products.PurgeProducts(
            gateway_pb.PurgeProductsRequest(filter=unknown, force=True)
        )


async def test_a_purge_is_cancelled_before_a_worker_takes_it(shop: Shop) -> None:
    await shop.stock(30)
    found = await shop.products.PurgeProducts(
        gateway_pb.PurgeProductsRequest(filter=brand("Estate"), force=True)
    )
    assert (found.product_count, len(found.sample_product_ids)) == (30, 20)
    cancel = job_service_pb2.CancelJobRequest(job_id=found.job.job_id)
    assert (await shop.jobs.CancelJob(cancel)).state == job_pb2.Job.STATE_CANCELLED
    assert await shop.held() == 30


@pytest.mark.full
async def test_a_purge_survives_kill_9_of_its_worker_and_then_a_cancel_ends_it(shop: Shop) -> None:
    await shop.stock(40_000)
    await shop.stock(10, "other")
    found = await shop.products.PurgeProducts(
        gateway_pb.PurgeProductsRequest(filter=EVERYTHING, force=True)
    )
    job_id = found.job.job_id

    async def begun() -> bool:
        return (await shop.job(job_id)).done > 0

    async with shop.worker() as worker:
        await until(begun)
        worker.send_signal(signal.SIGKILL)
    killed = await shop.job(job_id)
    assert killed.state == job_pb2.Job.STATE_RUNNING
    assert 0 < killed.done < 40_000

    async def ended() -> bool:
        return (await shop.job(job_id)).state in ENDED

    async with shop.worker():
        await until(ended)
    job = await shop.job(job_id)
    assert (job.state, job.done, job.total) == (job_pb2.Job.STATE_SUCCEEDED, 40_000, 40_000)
    assert [(item.name, item.value) for item in job.results] == [("deleted_count", "40000")]
    assert (await shop.held(), await shop.held("other")) == (0, 10)


@pytest.mark.full
async def test_a_purge_that_runs_stops_when_it_is_cancelled(shop: Shop) -> None:
    await shop.stock(40_000)
    found = await shop.products.PurgeProducts(
        gateway_pb.PurgeProductsRequest(filter=EVERYTHING, force=True)
    )

    async def begun() -> bool:
        return (await shop.job(found.job.job_id)).done > 0

    async def ended() -> bool:
        return (await shop.job(found.job.job_id)).state in ENDED

    async with shop.worker():
        await until(begun)
        cancel = job_service_pb2.CancelJobRequest(job_id=found.job.job_id)
        await shop.jobs.CancelJob(cancel)
        await until(ended)
    assert (await shop.job(found.job.job_id)).state == job_pb2.Job.STATE_CANCELLED
    assert 0 < await shop.held() < 40_000


async def test_jobs_are_listed_page_by_page_and_by_catalog(shop: Shop) -> None:
    made = []
    for _ in range(5):
        request = gateway_pb.PurgeProductsRequest(filter=EVERYTHING, force=True)
        made.append((await shop.products.PurgeProducts(request)).job.job_id)
    other = gateway_pb.PurgeProductsRequest(filter=EVERYTHING, force=True, catalog_id="other")
    theirs = (await shop.products.PurgeProducts(other)).job.job_id

    listed, token = [], ""
    while True:
        page = await shop.jobs.ListJobs(
            job_service_pb2.ListJobsRequest(page_size=2, page_token=token)
        )
        listed += [job.job_id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert listed == made[::-1]
    first = await shop.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_size=2))
    for fields in ({"kind": "purge"}, {"catalog_id": "other"}):
        elsewhere = job_service_pb2.ListJobsRequest(page_token=first.next_page_token, **fields)
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", "page_token"):
            await shop.jobs.ListJobs(elsewhere)
    kind = job_service_pb2.ListJobsRequest(kind="close_import")
    assert not (await shop.jobs.ListJobs(kind)).jobs
    with refused("NOT_FOUND", "JOB_NOT_FOUND"):
        await shop.job(theirs)
    for bad in ("x", "bnVsbA==", "W10="):
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", "page_token"):
            await shop.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_token=bad))
    with refused("INVALID_ARGUMENT", "PAGE_SIZE_INVALID"):
        await shop.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_size=1_001))


async def test_the_newest_rejected_rows_of_open_imports_are_listed(shop: Shop) -> None:
    assert not await rejected(shop)
    for name in ("old", "new"):
        await shop.open(name)
        await shop.send(name, row(1, f"{name}-1", 1), *(row(n, "\n") for n in (2, 3)))
    wanted = [("new", 3), ("new", 2), ("old", 3), ("old", 2)]
    assert [(each.import_id, each.row_number) for each in await rejected(shop)] == wanted
    newest, *others = await rejected(shop, page_size=1)
    assert not others
    assert (newest.product_id, from_status(newest.status).reason) == ("", "PRODUCT_INVALID")
    assert not await rejected(shop, catalog_id="other")
    await shop.close("new")
    assert {each.import_id for each in await rejected(shop)} <= {"old", "new"}
    for size in (-1, 101):
        with refused("INVALID_ARGUMENT", "PAGE_SIZE_INVALID"):
            await rejected(shop, page_size=size)


async def rejected(shop: Shop, **fields: Any) -> Sequence[gateway_pb.RejectedRow]:
    answer = await shop.products.ListRejectedRows(gateway_pb.ListRejectedRowsRequest(**fields))
    found: Sequence[gateway_pb.RejectedRow] = answer.rows
    return found


async def distinct(shop: Shop, **fields: Any) -> gateway_pb.ListDistinctProductsResponse:
    answer: gateway_pb.ListDistinctProductsResponse = await shop.products.ListDistinctProducts(
        gateway_pb.ListDistinctProductsRequest(**fields)
    )
    return answer


async def test_products_of_one_picture_are_decided_to_be_different(shop: Shop) -> None:
    await shop.products.UpsertProducts(
        gateway_pb.UpsertProductsRequest(products=[wine(name, 1) for name in "abc"])
    )
    request = gateway_pb.MarkDistinctProductsRequest(product_ids=["c", "a", "b"])
    marked = await shop.products.MarkDistinctProducts(request)
    named = [(each.product_id, each.other_product_id) for each in marked.pairs]
    assert named == [("a", "b"), ("a", "c"), ("b", "c")]
    assert all(each.create_time.seconds and not each.author for each in marked.pairs)
    first = await distinct(shop, page_size=2)
    rest = await distinct(shop, page_size=2, page_token=first.next_page_token)
    assert (len(first.pairs), rest.next_page_token) == (2, "")
    listed = [*first.pairs, *rest.pairs]
    assert sorted(listed, key=str) == sorted(marked.pairs, key=str)
    assert not (await distinct(shop, catalog_id="other")).pairs
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await distinct(shop, catalog_id="other", page_token=first.next_page_token)
    with refused("INVALID_ARGUMENT", "PAGE_SIZE_INVALID"):
        await distinct(shop, page_size=1_001)
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "product_ids"):
        await shop.products.MarkDistinctProducts(gateway_pb.MarkDistinctProductsRequest())
    with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
        request.product_ids.append("gone")
        await shop.products.MarkDistinctProducts(request)
    taken = await shop.products.UnmarkDistinctProducts(
        gateway_pb.UnmarkDistinctProductsRequest(product_ids=["c", "b", "gone"])
    )
    assert (taken.deleted_count, len((await distinct(shop)).pairs)) == (1, 2)
