"""A model is published: ranker, retriever, their workers and a real Milvus Lite.

Both servers run in this process, the workers in processes of their own, of which the ranker's is
killed. No embedder runs: the space's vectors are the ranker's.
"""

from __future__ import annotations

import signal

import grpc
import pytest

from servicekit.jobs.queue import JobState
from servicekit.status import from_rpc_error
from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.ranker.v1 import model_service_pb2 as model_pb
from sightline.retriever.v1 import index_service_pb2 as index_pb
from tests.stores import only_sqlite
from tests.waiting import until
from tests.wire.publish_shop import COUNT, Shop, best, shop

pytestmark = pytest.mark.full

__all__ = ["shop"]  # fixtures


@only_sqlite  # the record is as sure to be asked on PostgreSQL; this takes a quarter of a minute
async def test_promotions_and_rollbacks_are_followed_by_the_index(shop: Shop) -> None:
    async with shop.worker("retriever"), shop.worker("ranker"):
        await shop.stock()
        await shop.promote("lfm-one")
        hidden = await shop.visit()
        named = await shop.generated()
        assert len(named) == 200
        assert hidden not in named
        job = await shop.published("lfm-one", 1)
        assert (job.state, job.done, job.total) == (JobState.SUCCEEDED, COUNT, COUNT), job
        assert job.result["active"] == "true"
        (made,) = await shop.generations()
        assert (made.of_products, made.metric, made.dimension) == (True, index_pb.METRIC_IP, 9)
        assert (made.indexed_count, made.pending_count, made.forced) == (COUNT, 0, False)
        assert made.verification.passed
        assert made.verification.index_count == COUNT
        assert await shop.search("lfm-one") == pytest.approx(best("lfm-one"), abs=1e-4)
        brand = filter_pb2.Filter(
            comparison=filter_pb2.Comparison(
                field="brand",
                operator=filter_pb2.Comparison.OPERATOR_EQUAL,
                value=filter_pb2.FilterValue(text="b3"),
            )
        )
        third = best("lfm-one", lambda item: item.endswith("3"))
        assert await shop.search("lfm-one", filter=brand) == pytest.approx(third, abs=1e-4)
        indexed = await shop.fitting()
        assert indexed == named[: len(indexed)]
        assert hidden not in indexed

        await shop.promote("lfm-two")
        # Its products are not in the index yet: the model before it is asked with.
        assert await shop.fitting() == indexed
        assert (await shop.active())[0] == "lfm-one"
        await shop.published("lfm-two", 2)
        assert await shop.active() == ("lfm-two", "lfm-one")
        assert await shop.search("lfm-two") == pytest.approx(best("lfm-two"), abs=1e-4)
        renamed = await shop.generated()
        assert renamed != named
        assert await shop.fitting() == renamed[: len(indexed)]
        # A replica that still serves the model before names that one's generation.
        former = await shop.search("lfm-one", generation=made.name)
        assert former == pytest.approx(best("lfm-one"), abs=1e-4)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shop.search("lfm-one")
        assert from_rpc_error(caught.value).reason == "INDEX_VERSION_MISMATCH"

        await shop.models.RollbackModel(model_pb.RollbackModelRequest())
        job = await shop.published("lfm-one", 3)
        assert job.result["generation"] == made.name
        assert await shop.active() == ("lfm-one", "lfm-two")
        assert await shop.fitting() == indexed
        assert await shop.generations("other") == []


async def test_a_publication_whose_worker_is_killed_goes_on(shop: Shop) -> None:
    await shop.stock()
    async with shop.worker("retriever"):
        async with shop.worker("ranker") as worker:
            await shop.promote("lfm-one")

            async def writes() -> bool:
                job = await shop.newest()
                return job is not None and job.done > 0

            await until(writes)
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        left = await shop.newest()
        assert left is not None
        assert left.state is JobState.RUNNING
        async with shop.worker("ranker"):
            job = await shop.published("lfm-one", 1)
            assert (job.id, job.state) == (left.id, JobState.SUCCEEDED), job
            assert job.attempts == 2
        (made,) = await shop.generations()
        assert (made.active, made.indexed_count) == (True, COUNT)
        assert await shop.search("lfm-one") == pytest.approx(best("lfm-one"), abs=1e-4)

        first = next(iter(best("lfm-one")))
        await shop.products.DeleteProducts(gateway_pb.DeleteProductsRequest(product_ids=[first]))
        rest = best("lfm-one", lambda item: item != first)
        assert await shop.search("lfm-one") == pytest.approx(rest, abs=1e-4)
