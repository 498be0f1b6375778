"""The adapter of Triton, against a server that speaks Triton's protocol."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from embedder.adapters.triton.client import STRAY, UP, Triton, TritonInference, addresses
from embedder.domain.errors import (
    DeadlinePassed,
    EmbedderUnavailable,
    ModelFailed,
    ProcessLost,
)
from embedder.domain.items import Priority
from embedder.domain.models import Inferred, Tensors
from embedder.domain.photos import Pixels
from embedder.domain.urgency import asking
from servicekit import deadlines, telemetry
from servicekit.rpc import channel
from servicekit.rpc.breaker import CircuitBreaker
from tests.fakes.names import names
from tests.fakes.triton import FakeTriton, vectors
from tests.waiting import SECONDS, until

PIXELS: Pixels = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


async def test_pixels_arrive_as_they_are_and_the_answer_names_its_version(
    served: TritonInference, triton: FakeTriton
) -> None:
    triton.version = "3"
    answer = await served.infer({"image": PIXELS})
    assert np.array_equal(answer.vectors, vectors(PIXELS, 1280))
    assert answer.model_version == "3"
    assert triton.requests[0].raw_input_contents[0] == PIXELS.tobytes()


async def test_the_request_id_goes_along(served: TritonInference, triton: FakeTriton) -> None:
    telemetry.request_id.set("abc")
    await served.infer({"image": PIXELS})
    assert triton.metadata[0]["x-request-id"] == "abc"


async def test_imports_go_after_shoppers_in_the_server_s_queues(
    served: TritonInference, triton: FakeTriton
) -> None:
    for priority in Priority:
        with asking(priority):
            await served.infer({"image": PIXELS})
    shopper, bulk = triton.requests
    assert not shopper.parameters
    assert bulk.parameters["priority"].uint64_param == 2
    assert bulk.parameters["bulk"].bool_param


async def test_a_lost_process_fails_all_its_calls_at_once_and_a_caller_who_leaves_none(
    served: TritonInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = asyncio.Event()

    async def infer(inputs: Tensors) -> Inferred:
        if len(inputs["image"]) == 1:
            raise ProcessLost("its process ended")
        await lost.wait()
        return Inferred(vectors(inputs["image"], 8), "1")

    monkeypatch.setattr(served, "_infer", infer)
    leaving, *others = [asyncio.create_task(served.infer({"image": PIXELS})) for _ in range(3)]
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert not any(each.done() for each in others)
    for caller in (served.infer({"image": PIXELS[:1]}), *others):
        with pytest.raises(ProcessLost):
            await asyncio.wait_for(caller, SECONDS)


async def test_no_server_is_unavailable_at_once() -> None:
    async with Triton("127.0.0.1:1", timeout=SECONDS) as server:
        served = server.inference("m")
        with pytest.raises(EmbedderUnavailable) as caught:
            await asyncio.wait_for(served.describe(), SECONDS / 2)
        assert caught.value.retry_after


async def test_a_server_that_comes_back_is_found(triton: FakeTriton) -> None:
    async with triton.serving() as port:
        pass
    async with Triton(f"127.0.0.1:{port}", timeout=SECONDS) as server:
        served = server.inference("efficientnet_lite0")
        with pytest.raises(EmbedderUnavailable):
            await served.describe()
        async with triton.serving(port):
            async with asyncio.timeout(SECONDS):
                while True:
                    try:
                        await served.describe()
                        break
                    except EmbedderUnavailable:
                        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_server_whose_name_was_missing_is_found_as_soon_as_it_exists(
    triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    with names() as found:
        async with (
            triton.serving() as port,
            Triton(found.target(port), timeout=SECONDS) as server,
        ):
            served = server.inference("efficientnet_lite0")
            while found.asked < 3:  # gRPC itself looks up next after two seconds and more
                with pytest.raises(EmbedderUnavailable):
                    await served.describe()
                await asyncio.sleep(0.05)
            found.exists = True
            monkeypatch.setattr(channel, "LOST_SECONDS", 0.0, raising=False)
            await served.describe()


async def test_a_server_slower_than_our_own_limit_counts_as_unavailable(
    triton: FakeTriton,
) -> None:
    triton.delay = 5
    async with (
        triton.serving() as port,
        Triton(f"127.0.0.1:{port}", timeout=0.05) as server,
    ):
        served = server.inference("efficientnet_lite0")
        with pytest.raises(EmbedderUnavailable, match="too long"):
            await served.infer({"image": PIXELS})


async def test_a_server_slower_than_the_caller_waits_is_a_passed_deadline(
    served: TritonInference, triton: FakeTriton
) -> None:
    triton.delay = 5
    with deadlines.within(0.1), pytest.raises(DeadlinePassed):
        await served.infer({"image": PIXELS})
    sent = len(triton.requests)
    with deadlines.within(0), pytest.raises(DeadlinePassed):
        await served.infer({"image": PIXELS})
    assert len(triton.requests) == sent, "nothing is sent when no time is left"


async def test_nobody_waits_for_a_server_that_hangs(triton: FakeTriton) -> None:
    triton.delay = 3_600.0
    triton.live.clear()
    async with triton.serving() as port, Triton(f"127.0.0.1:{port}", timeout=SECONDS) as server:
        server._breaker = breaker = CircuitBreaker(
            server._is_there, "triton", patience=0.05, pause=0.01
        )
        served = server.inference("efficientnet_lite0")
        with deadlines.within(0.1), pytest.raises(DeadlinePassed):
            await served.infer({"image": PIXELS})
        await until(lambda: breaker.hangs)
        sent = len(triton.requests)  # a busy machine may pass the deadline before it is sent
        with pytest.raises(EmbedderUnavailable, match="health checks"):
            await served.infer({"image": PIXELS})
        assert len(triton.requests) == sent
        triton.delay = 0.0
        triton.live.set()
        await until(lambda: not breaker.hangs)
        assert (await served.infer({"image": PIXELS})).model_version == "1"


async def test_a_slow_model_of_a_server_that_answers_is_asked_again(
    served: TritonInference, triton: FakeTriton
) -> None:
    triton.delay = 3_600.0
    # A busy machine may pass a deadline before the request is sent.
    while len(triton.requests) < 3:
        with deadlines.within(0.05), pytest.raises(DeadlinePassed):
            await served.infer({"image": PIXELS})
        await until(lambda: served._server._breaker._probing is None)


async def test_an_answer_without_the_output_is_the_model_s_failure(
    served: TritonInference, triton: FakeTriton
) -> None:
    triton.output = "other"
    with pytest.raises(ModelFailed):
        await served.infer({"image": PIXELS})


def torn(first: Any, second: Any) -> Any:
    """Return the vectors of one answer with the checksum of another."""
    made = copy.deepcopy(first)
    made.outputs[1].CopyFrom(second.outputs[1])
    made.raw_output_contents[1] = second.raw_output_contents[1]
    return made


def cut(answer: Any) -> Any:
    """Return an answer without its checksum."""
    made = copy.deepcopy(answer)
    del made.outputs[1:], made.raw_output_contents[1:]
    return made


@pytest.mark.parametrize(
    "stray",
    [
        lambda before, _: before,
        torn,
        lambda before, own: torn(own, before),
        lambda before, _: cut(before),
        lambda _, own: cut(own),
    ],
)
@pytest.mark.parametrize("rows", [1, 3])
async def test_an_answer_to_another_request_or_a_torn_one_is_refused_and_counted(
    served: TritonInference, triton: FakeTriton, stray: Callable[[Any, Any], Any], rows: int
) -> None:
    strays = STRAY.labels("efficientnet_lite0")._value
    counted = strays.get()
    await served.infer({"image": PIXELS[:rows]})
    (before,) = triton.answers
    triton.spoil = lambda own: stray(before, own)
    with pytest.raises(ProcessLost):
        await served.infer({"image": PIXELS[::-1]})
    assert strays.get() == counted + 1
    triton.spoil = lambda own: own
    await served.infer({"image": PIXELS})
    assert strays.get() == counted + 1


async def test_a_model_whose_configuration_has_no_checksum_is_believed_without_one(
    served: TritonInference, triton: FakeTriton
) -> None:
    assert (await served.describe()).checksums
    del triton.config.output[1]  # another backend took over
    for _ in range(2):
        answer = await served.infer({"image": PIXELS})
        assert np.array_equal(answer.vectors, vectors(PIXELS, 1280))
    assert not (await served.describe()).checksums


async def test_a_metric_says_whether_triton_answered_last(
    served: TritonInference, triton: FakeTriton
) -> None:
    up = UP.labels("efficientnet_lite0")._value
    await served.infer({"image": PIXELS})
    assert up.get() == 1
    triton.failure = (grpc.StatusCode.UNAVAILABLE, "")
    with pytest.raises(EmbedderUnavailable):
        await served.infer({"image": PIXELS})
    assert up.get() == 0


async def test_a_caller_without_time_says_nothing_of_whether_triton_is_up(
    served: TritonInference, triton: FakeTriton
) -> None:
    up = UP.labels("efficientnet_lite0")._value
    for known in (0.0, 1.0):
        up.set(known)
        triton.delay = 5
        with deadlines.within(0.05), pytest.raises(DeadlinePassed):
            await served.infer({"image": PIXELS})
        assert up.get() == known


async def test_the_models_that_are_served_are_listed(triton: FakeTriton) -> None:
    triton.states = {"efficientnet_lite0": "READY", "gone": "UNAVAILABLE", "next": "LOADING"}
    async with triton.serving() as port, Triton(f"127.0.0.1:{port}", timeout=30) as server:
        assert set(await server.loaded()) == {"efficientnet_lite0", "next"}
        assert await server.states() == triton.states


async def test_a_model_is_loaded_on_every_server_that_a_name_stands_for() -> None:
    assert await addresses("dns:///127.0.0.1:8604") == ["127.0.0.1:8604"]
    assert await addresses("[::1]:8604") == ["[::1]:8604"]
    assert "127.0.0.1:8604" in await addresses("localhost:8604")
    for unknown in ("unix:/tmp/triton", "nobody.invalid:8604", "xds:///triton"):
        assert await addresses(unknown) == [unknown]
