"""Calls above a caller's quota, and those of catalogs that are not its own."""

import asyncio
from collections.abc import Mapping

import pytest
from prometheus_client import REGISTRY

from servicekit import deadlines
from servicekit.admission import limits
from servicekit.admission.access import Caller, Role
from servicekit.admission.quotas import QuotaSettings
from servicekit.config import ServerSettings
from servicekit.rpc import channel
from servicekit.rpc.server import Binding
from sightline.gateway.v1 import detection_service_pb2_grpc as detection_grpc
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc as pb_grpc
from sightline.vision.v1 import detection_service_pb2 as detection
from tests import virtual_time
from tests.fakes.kit_large import Camera, Shop
from tests.unit.kit.admission.limited import (
    BOTH_WAYS,
    STREAM,
    UNARY,
    is_alive,
    refused,
    serving,
)
from tests.waiting import SECONDS, until


class Limited(ServerSettings, QuotaSettings):
    """A server that knows its callers."""


@BOTH_WAYS
async def test_a_caller_that_used_up_its_quota_is_refused_and_learns_when_to_come_again() -> None:
    settings = Limited(quota_calls=0.01, quota_burst_seconds=100)
    async with serving(settings=settings) as address, channel.connect(address) as peer:
        assert await peer.unary_unary(UNARY)(b"x") == b"x"
        error = await refused(peer.unary_unary(UNARY)(b"x"))
        assert await is_alive(peer)
    assert (error.reason, error.metadata) == ("QUOTA_EXHAUSTED", {"quota": "calls"})
    assert error.retry_after is not None
    assert 0 < error.retry_after.total_seconds() < 101


@BOTH_WAYS
async def test_each_opened_stream_counts_as_a_call() -> None:
    settings = Limited(quota_calls=0.01, quota_burst_seconds=100)
    async with serving(settings=settings) as address, channel.connect(address) as peer:
        assert await peer.unary_stream(STREAM)(b"x").read() == b"first"
        error = await refused(peer.unary_stream(STREAM)(b"x").read())
        assert error.reason == "QUOTA_EXHAUSTED"
        assert await is_alive(peer)


@BOTH_WAYS
async def test_answers_to_calls_above_a_quota_are_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    delayed = []

    async def wait(_: limits.RefusalDelay, caller: str) -> None:
        delayed.append(caller)

    monkeypatch.setattr(limits.RefusalDelay, "wait", wait)
    settings = Limited(quota_calls=0.01, quota_burst_seconds=100)
    async with serving(settings=settings) as address, channel.connect(address) as peer:
        assert await peer.unary_unary(UNARY)(b"x") == b"x"
        assert not delayed
        await refused(peer.unary_unary(UNARY)(b"x"))
        await refused(peer.unary_stream(STREAM)(b"x").read())
    assert len(delayed) == 2


@BOTH_WAYS
async def test_a_refused_call_whose_caller_leaves_before_its_answer_is_no_error_of_the_service(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = []

    async def wait(_: limits.RefusalDelay, caller: str) -> None:
        waiting.append(caller)
        try:
            await asyncio.sleep(SECONDS)
        finally:
            waiting.pop()

    monkeypatch.setattr(limits.RefusalDelay, "wait", wait)
    settings = Limited(quota_calls=0.01, quota_burst_seconds=100)
    async with serving(settings=settings) as address, channel.connect(address) as peer:
        assert await peer.unary_unary(UNARY)(b"x") == b"x"
        call = peer.unary_unary(UNARY)(b"x")
        await until(lambda: waiting)
        call.cancel()
        await until(lambda: not waiting)
        assert await is_alive(peer)
    assert not [each for each in caplog.records if "Unexpected" in each.getMessage()]


async def test_as_many_answers_are_delayed_at_a_time_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "REFUSAL_SECONDS", 3_600.0)
    monkeypatch.setattr(limits, "MOST_DELAYED", 1)
    delay = limits.RefusalDelay()
    first = asyncio.create_task(delay.wait("a"))
    await asyncio.sleep(0)
    await delay.wait("a")
    assert not first.done()
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(delay.wait("a"))
    await asyncio.sleep(0.01)
    assert not second.done(), "the first one left its place"
    second.cancel()
    await asyncio.wait([second])


def test_a_caller_gets_so_many_delayed_answers_a_second_each_before_its_deadline() -> None:
    delay, most = limits.RefusalDelay(), limits.REFUSALS_A_SECOND

    async def waited(caller: str) -> float:
        began = asyncio.get_running_loop().time()
        await delay.wait(caller)
        return asyncio.get_running_loop().time() - began

    async def main() -> None:
        found = await asyncio.gather(*map(waited, ["a"] * 100 + ["b"]))
        assert found[0] == found[100] == pytest.approx(limits.REFUSAL_SECONDS)
        assert found[99] == pytest.approx(100 / most)
        deadlines.start(1.0)
        found = await asyncio.gather(*map(waited, ["a"] * 100))
        assert max(found) == pytest.approx(0.5)
        deadlines.start(-0.01)
        assert await waited("a") == 0

    virtual_time.run(main())


@BOTH_WAYS
async def test_who_makes_catalogs_up_has_one_quota_for_all_of_them() -> None:
    settings = Limited(quota_calls=0.01, quota_burst_seconds=100)
    async with (
        serving(Binding.of(Shop()), settings=settings) as address,
        channel.connect(address) as peer,
    ):
        stub = pb_grpc.RecommendationServiceStub(peer)
        await stub.Recommend(pb.RecommendRequest(catalog_id="made-up"))
        error = await refused(stub.Recommend(pb.RecommendRequest(catalog_id="another")))
        assert error.reason == "QUOTA_EXHAUSTED"
        await stub.Recommend(pb.RecommendRequest())


class OfOneCatalog:
    """A policy that knows one caller, which may use one catalog."""

    def admit(self, method: str, metadata: Mapping[str, str], context: object) -> Caller:
        return Caller("shop", frozenset(Role), frozenset({"default"}))


@BOTH_WAYS
async def test_a_catalog_that_is_not_the_callers_is_refused_and_charged_to_its_quota() -> None:
    settings = Limited(quota_calls=0.01, quota_burst_seconds=100)
    shop = Shop()
    async with (
        serving(Binding.of(shop), access=OfOneCatalog(), settings=settings) as address,
        channel.connect(address) as peer,
    ):
        stub = pb_grpc.RecommendationServiceStub(peer)
        reasons = [
            (await refused(stub.Recommend(pb.RecommendRequest(catalog_id="elsewhere")))).reason
            for _ in range(2)
        ]
        await stub.Recommend(pb.RecommendRequest())
    assert reasons == ["CATALOG_FORBIDDEN", "QUOTA_EXHAUSTED"]
    assert len(shop.reached) == 1


@BOTH_WAYS
async def test_calls_of_cameras_are_no_part_of_the_rate_that_adds_pods() -> None:
    def seconds() -> float:
        labels = {"service": "limited"}
        return REGISTRY.get_sample_value("sightline_call_seconds_total", labels) or 0.0

    async with (
        serving(Binding.of(Shop()), Binding.of(Camera())) as address,
        channel.connect(address) as peer,
    ):
        before = seconds()
        asked = detection.DetectProductsRequest()
        await detection_grpc.DetectionServiceStub(peer).DetectProducts(asked, timeout=SECONDS)
        assert seconds() == before
        await pb_grpc.RecommendationServiceStub(peer).Recommend(
            pb.RecommendRequest(), timeout=SECONDS
        )
        await until(lambda: seconds() > before)
