"""The door to Triton, against a server that speaks Triton's protocol."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from embedder.model import (
    DeadlinePassed,
    EmbedderUnavailable,
    ModelFailed,
    ModelNotReady,
    Pixels,
    QueueFull,
    Recipe,
)
from embedder.triton import TABLE, UP, TritonInference, translate
from servicekit import deadlines, telemetry
from servicekit.errors import ServiceError
from tests.fakes.triton import FakeTriton, vectors

PIXELS: Pixels = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
async def door(triton: FakeTriton) -> AsyncIterator[TritonInference]:
    async with (
        triton.serving() as port,
        TritonInference(f"127.0.0.1:{port}", "efficientnet_lite0", timeout=2) as door,
    ):
        yield door


async def test_the_model_of_this_repository_is_understood(door: TritonInference) -> None:
    found = await door.describe()
    assert (found.model, found.space, found.dimension) == ("efficientnet_lite0", "visual", 1280)
    assert found.recipe == Recipe(224, 0.875, "(x-127)/128 in the graph")
    assert (found.precision, found.licence, found.max_batch) == ("fp32", "Apache-2.0", 4)
    assert [len(bytes.fromhex(value)) for value in found.hashes.values()] == [32]


async def test_pixels_arrive_as_they_are_and_the_answer_names_its_version(
    door: TritonInference, triton: FakeTriton
) -> None:
    triton.version = "3"
    answer = await door.infer(PIXELS)
    assert np.array_equal(answer.vectors, vectors(PIXELS, 1280))
    assert answer.model_version == "3"
    assert triton.requests[0].raw_input_contents[0] == PIXELS.tobytes()


async def test_the_request_id_goes_along(door: TritonInference, triton: FakeTriton) -> None:
    telemetry.request_id.set("abc")
    await door.infer(PIXELS)
    assert triton.metadata[0]["x-request-id"] == "abc"


def test_every_status_that_grpc_has_is_in_the_table() -> None:
    failures = {str(code) for code in grpc.StatusCode if code is not grpc.StatusCode.OK}
    assert set(TABLE) == failures


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("UNAVAILABLE", "Socket closed", EmbedderUnavailable),
        ("UNAVAILABLE", "Exceeds maximum queue size", QueueFull),
        ("UNAVAILABLE", "Request timeout expired", EmbedderUnavailable),
        (
            "NOT_FOUND",
            "Request for unknown model: 'x' has no available versions",
            EmbedderUnavailable,
        ),
        ("NOT_FOUND", "Request for unknown model: 'x' is not found", EmbedderUnavailable),
        ("INTERNAL", "Stub process 'x_0_0' is not healthy.", EmbedderUnavailable),
        ("INTERNAL", "onnx runtime error 6", ModelFailed),
        ("UNKNOWN", "", ModelFailed),
        ("INVALID_ARGUMENT", "unexpected shape for input", ModelNotReady),
        ("UNIMPLEMENTED", "", ModelNotReady),
        ("CANCELLED", "", EmbedderUnavailable),
    ],
)
async def test_what_triton_says_becomes_an_error_of_ours_without_its_words(
    door: TritonInference, triton: FakeTriton, code: str, message: str, kind: type[ServiceError]
) -> None:
    triton.failure = (grpc.StatusCode[code], message)
    for call in (door.describe(), door.infer(PIXELS)):
        with pytest.raises(kind) as caught:
            await call
        assert type(caught.value) is kind
        assert not message or message not in caught.value.message


def test_an_answer_that_the_client_could_not_read_is_the_model_s_failure() -> None:
    told = translate(InferenceServerException("no such output"), own_limit=False)
    assert isinstance(told, ModelFailed)


async def test_no_server_is_unavailable_at_once() -> None:
    async with TritonInference("127.0.0.1:1", "m", timeout=30) as door:
        started = asyncio.get_running_loop().time()
        with pytest.raises(EmbedderUnavailable) as caught:
            await door.describe()
        assert asyncio.get_running_loop().time() - started < 5
        assert caught.value.retry_after


async def test_a_server_that_comes_back_is_found(triton: FakeTriton) -> None:
    async with triton.serving() as port:
        pass
    async with TritonInference(f"127.0.0.1:{port}", "efficientnet_lite0", timeout=2) as door:
        with pytest.raises(EmbedderUnavailable):
            await door.describe()
        async with triton.serving(port):
            async with asyncio.timeout(10):
                while True:
                    try:
                        await door.describe()
                        break
                    except EmbedderUnavailable:
                        await asyncio.sleep(0.05)


async def test_a_server_slower_than_our_own_limit_counts_as_unavailable(
    triton: FakeTriton,
) -> None:
    triton.delay = 5
    async with (
        triton.serving() as port,
        TritonInference(f"127.0.0.1:{port}", "efficientnet_lite0", timeout=0.05) as door,
    ):
        with pytest.raises(EmbedderUnavailable, match="too long"):
            await door.infer(PIXELS)


async def test_a_server_slower_than_the_caller_waits_is_a_passed_deadline(
    door: TritonInference, triton: FakeTriton
) -> None:
    triton.delay = 5
    with deadlines.within(0.1), pytest.raises(DeadlinePassed):
        await door.infer(PIXELS)
    with deadlines.within(0), pytest.raises(DeadlinePassed):
        await door.infer(PIXELS)
    assert len(triton.requests) == 1, "nothing is sent when no time is left"


async def test_an_answer_without_the_output_is_the_model_s_failure(
    door: TritonInference, triton: FakeTriton
) -> None:
    triton.output = "other"
    with pytest.raises(ModelFailed):
        await door.infer(PIXELS)


@pytest.mark.parametrize(
    "parameter", ["space", "crop", "input_size", "normalisation", "precision", "version_1_sha256"]
)
async def test_a_model_that_does_not_describe_itself_is_refused(
    door: TritonInference, triton: FakeTriton, parameter: str
) -> None:
    if parameter == "input_size":
        triton.config.input[0].dims[1] = 225  # what is said beside the shape is for people
    else:
        del triton.config.parameters[parameter]
    with pytest.raises(ModelNotReady):
        await door.describe()


async def test_a_model_of_another_form_is_refused(
    door: TritonInference, triton: FakeTriton
) -> None:
    good = triton.config.SerializeToString()
    changes = [
        lambda c: c.input[0].dims.pop(),
        lambda c: c.input.add(name="second"),
        lambda c: c.output[0].dims.append(2),
        lambda c: setattr(c.input[0], "name", "pixels"),
        lambda c: setattr(c.output[0], "name", "logits"),
        lambda c: setattr(c, "max_batch_size", 0),
        lambda c: setattr(c.parameters["crop"], "string_value", "1.5"),
        lambda c: setattr(c.parameters["crop"], "string_value", "nan"),
        lambda c: setattr(c.parameters["crop"], "string_value", "all"),
    ]
    for change in changes:
        triton.config.ParseFromString(good)
        change(triton.config)
        with pytest.raises(ModelNotReady):
            await door.describe()
    triton.config.ParseFromString(good)
    await door.describe()


async def test_a_metric_says_whether_triton_answered_last(
    door: TritonInference, triton: FakeTriton
) -> None:
    up = UP.labels("efficientnet_lite0")._value
    await door.infer(PIXELS)
    assert up.get() == 1
    triton.failure = (grpc.StatusCode.UNAVAILABLE, "")
    with pytest.raises(EmbedderUnavailable):
        await door.infer(PIXELS)
    assert up.get() == 0


async def test_a_caller_without_time_says_nothing_of_whether_triton_is_up(
    door: TritonInference, triton: FakeTriton
) -> None:
    up = UP.labels("efficientnet_lite0")._value
    for known in (0.0, 1.0):
        up.set(known)
        triton.delay = 5
        with deadlines.within(0.05), pytest.raises(DeadlinePassed):
            await door.infer(PIXELS)
        assert up.get() == known
