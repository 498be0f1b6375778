"""Backfills of a generation over real gRPC: killed, cancelled and beside a purge."""

from __future__ import annotations

import signal

import pytest

from retriever.workers.embedding import EMBED_CALLS
from sightline.common.v1 import job_pb2, job_service_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from tests.waiting import until
from tests.wire.rollout_shop import NEW, READY, Shop, begun, refused, shop, spaces

pytestmark = pytest.mark.full

__all__ = ["shop", "spaces"]  # fixtures


async def test_a_backfill_survives_kill_9_and_embeds_nothing_twice(shop: Shop) -> None:
    await shop.stock(*range(60))
    async with shop.worker() as worker:
        await shop.settled()
        await shop.create("two")
        shop.embedder.seconds = 0.05
        job_id = await shop.backfill("two")
        assert await shop.backfill("two") == job_id

        async def begun() -> bool:
            return (await shop.job(job_id)).done > 10

        await until(begun)
        await shop.stock(60, 61)
        worker.send_signal(signal.SIGKILL)
    killed = await shop.job(job_id)
    assert killed.state == job_pb2.Job.STATE_RUNNING
    assert 10 < killed.done < 60
    assert killed.total == 60
    with refused("GENERATION_NOT_VERIFIED"):
        await shop.activate("two")
    async with shop.worker():
        ended = await shop.ended(job_id)
        assert ended.state == job_pb2.Job.STATE_SUCCEEDED, ended
        await shop.settled()
        anew = [data for version, data in shop.embedder.embedded if version == NEW]
        # At most the calls that were under way at the kill come twice, of 4 photos each.
        assert 62 <= len(anew) <= 62 + 4 * EMBED_CALLS
        assert (await shop.verify("two")).passed
    made = await shop.generation("two")
    assert (made.state, made.indexed_count, made.pending_count) == (READY, 62, 0)


async def test_a_cancelled_backfill_takes_its_waiting_photos_back(shop: Shop) -> None:
    await shop.stock(*range(60))
    async with shop.worker() as worker:
        await shop.settled()
        await shop.create("two")
        shop.embedder.seconds = 0.1
        first = await shop.backfill("two")
        await until(lambda: begun(shop, first))
        await shop.jobs.CancelJob(job_service_pb2.CancelJobRequest(job_id=first))
        assert (await shop.ended(first)).state == job_pb2.Job.STATE_CANCELLED
        made = await shop.generation("two")
        assert 0 < made.indexed_count < 60
        assert made.pending_count == 0
        shop.embedder.seconds = 2.0  # it has not ended when its worker is killed
        second = await shop.backfill("two")
        assert second != first
        await until(lambda: begun(shop, second))
        worker.send_signal(signal.SIGKILL)
    # No worker has it: the next one removes what it left.
    shop.embedder.seconds = 0.1
    await shop.jobs.CancelJob(job_service_pb2.CancelJobRequest(job_id=second))
    async with shop.worker():
        assert (await shop.ended(second)).state == job_pb2.Job.STATE_CANCELLED

        async def taken_back() -> bool:
            return (await shop.generation("two")).pending_count == 0

        await until(taken_back)
        await shop.settled()
        assert (await shop.generation("two")).indexed_count < 60
        shop.embedder.seconds = 0.0
        third = await shop.backfill("two")
        assert (await shop.ended(third)).state == job_pb2.Job.STATE_SUCCEEDED
        assert (await shop.generation("two")).indexed_count == 60


async def test_a_purge_does_not_wait_for_a_backfill_that_can_not_go_on(shop: Shop) -> None:
    await shop.stock(*range(6))
    async with shop.worker():
        await shop.settled()
        await shop.create("two")
        shop.embedder.others.clear()
        stuck = await shop.backfill("two")
        asked = catalog_pb.PurgeProductsRequest(force=True)
        asked.filter.all.SetInParent()
        purge = await shop.catalog.PurgeProducts(asked)
        assert (await shop.ended(purge.job.job_id)).state == job_pb2.Job.STATE_SUCCEEDED
        # Its photos are no product's any more, so there is nothing left to wait for.
        assert (await shop.job(stuck)).state in (
            job_pb2.Job.STATE_RUNNING,
            job_pb2.Job.STATE_SUCCEEDED,
        )
