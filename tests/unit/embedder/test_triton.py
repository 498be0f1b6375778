"""The door to Triton, against a server that speaks Triton's protocol."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

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
    ProcessLost,
    QueueFull,
    Recipe,
    Sentences,
    Step,
    Tokens,
)
from embedder.triton import (
    STRAY,
    TABLE,
    UP,
    Triton,
    TritonInference,
    addresses,
    translate,
    uncontrolled,
)
from servicekit import deadlines, telemetry
from servicekit.errors import ServiceError
from tests.fakes.triton import FakeTriton, vectors
from tests.waiting import SECONDS

PIXELS: Pixels = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
async def door(triton: FakeTriton) -> AsyncIterator[TritonInference]:
    async with (
        triton.serving() as port,
        Triton(f"127.0.0.1:{port}", timeout=30) as server,
    ):
        yield server.inference("efficientnet_lite0")


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
    answer = await door.infer({"image": PIXELS})
    assert np.array_equal(answer.vectors, vectors(PIXELS, 1280))
    assert answer.model_version == "3"
    assert triton.requests[0].raw_input_contents[0] == PIXELS.tobytes()


async def test_the_request_id_goes_along(door: TritonInference, triton: FakeTriton) -> None:
    telemetry.request_id.set("abc")
    await door.infer({"image": PIXELS})
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
        ("INTERNAL", "Stub process 'x_0_0' is not healthy.", ProcessLost),
        ("INTERNAL", "Failed to obtain the health mutex.", ProcessLost),
        ("INTERNAL", "Failed to process the requests.", ProcessLost),
        ("INTERNAL", "Failed to process the request(s) for model 'x', message: y", ModelFailed),
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
    for call in (door.describe(), door.infer({"image": PIXELS})):
        with pytest.raises(kind) as caught:
            await call
        assert type(caught.value) is kind
        assert not message or message not in caught.value.message


def test_an_answer_that_the_client_could_not_read_is_the_model_s_failure() -> None:
    told = translate(InferenceServerException("no such output"), own_limit=False)
    assert isinstance(told, ModelFailed)


async def test_no_server_is_unavailable_at_once() -> None:
    async with Triton("127.0.0.1:1", timeout=30) as server:
        door = server.inference("m")
        started = asyncio.get_running_loop().time()
        with pytest.raises(EmbedderUnavailable) as caught:
            await door.describe()
        assert asyncio.get_running_loop().time() - started < 25
        assert caught.value.retry_after


async def test_a_server_that_comes_back_is_found(triton: FakeTriton) -> None:
    async with triton.serving() as port:
        pass
    async with Triton(f"127.0.0.1:{port}", timeout=30) as server:
        door = server.inference("efficientnet_lite0")
        with pytest.raises(EmbedderUnavailable):
            await door.describe()
        async with triton.serving(port):
            async with asyncio.timeout(SECONDS):
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
        Triton(f"127.0.0.1:{port}", timeout=0.05) as server,
    ):
        door = server.inference("efficientnet_lite0")
        with pytest.raises(EmbedderUnavailable, match="too long"):
            await door.infer({"image": PIXELS})


async def test_a_server_slower_than_the_caller_waits_is_a_passed_deadline(
    door: TritonInference, triton: FakeTriton
) -> None:
    triton.delay = 5
    with deadlines.within(0.1), pytest.raises(DeadlinePassed):
        await door.infer({"image": PIXELS})
    with deadlines.within(0), pytest.raises(DeadlinePassed):
        await door.infer({"image": PIXELS})
    assert len(triton.requests) == 1, "nothing is sent when no time is left"


async def test_an_answer_without_the_output_is_the_model_s_failure(
    door: TritonInference, triton: FakeTriton
) -> None:
    triton.output = "other"
    with pytest.raises(ModelFailed):
        await door.infer({"image": PIXELS})


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
    door: TritonInference, triton: FakeTriton, stray: Callable[[Any, Any], Any], rows: int
) -> None:
    strays = STRAY.labels("efficientnet_lite0")._value
    counted = strays.get()
    await door.infer({"image": PIXELS[:rows]})
    (before,) = triton.answers
    triton.spoil = lambda own: stray(before, own)
    with pytest.raises(ProcessLost):
        await door.infer({"image": PIXELS[::-1]})
    assert strays.get() == counted + 1
    triton.spoil = lambda own: own
    await door.infer({"image": PIXELS})
    assert strays.get() == counted + 1


async def test_a_model_whose_configuration_has_no_checksum_is_believed_without_one(
    door: TritonInference, triton: FakeTriton
) -> None:
    assert (await door.describe()).checksums
    del triton.config.output[1]  # another backend took over
    for _ in range(2):
        answer = await door.infer({"image": PIXELS})
        assert np.array_equal(answer.vectors, vectors(PIXELS, 1280))
    assert not (await door.describe()).checksums


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
        lambda c: c.input.add(name="kind", dims=[2]),
        lambda c: c.output.add(name="category", dims=[4, 2]),
        lambda c: c.output.add(name="features", dims=[4]),
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
    await door.infer({"image": PIXELS})
    assert up.get() == 1
    triton.failure = (grpc.StatusCode.UNAVAILABLE, "")
    with pytest.raises(EmbedderUnavailable):
        await door.infer({"image": PIXELS})
    assert up.get() == 0


async def test_a_caller_without_time_says_nothing_of_whether_triton_is_up(
    door: TritonInference, triton: FakeTriton
) -> None:
    up = UP.labels("efficientnet_lite0")._value
    for known in (0.0, 1.0):
        up.set(known)
        triton.delay = 5
        with deadlines.within(0.05), pytest.raises(DeadlinePassed):
            await door.infer({"image": PIXELS})
        assert up.get() == known


def fitted(config: Any) -> None:
    """Make of a model's configuration that of a fitted space."""
    config.input.add(name="kind", data_type="TYPE_FP32", dims=[1])
    config.output.add(name="category", data_type="TYPE_FP32", dims=[4])
    told = {"catalog": "wine", "shopper_views": "2", "catalogue_views": "4", "create_time": "1.5"}
    for key, value in told.items():
        config.parameters[key].string_value = value


async def test_a_fitted_model_tells_its_catalog_views_and_categories(
    door: TritonInference, triton: FakeTriton
) -> None:
    fitted(triton.config)
    found = await door.describe()
    assert (found.catalog, found.cameras, found.categories) == ("wine", True, 3)
    assert (found.shopper_views, found.catalogue_views, found.create_time) == (2, 4, 1.5)


@pytest.mark.parametrize(
    "change",
    [
        {"shopper_views": "0"},
        {"catalogue_views": "5"},
        {"shopper_views": "many"},
        {"create_time": "yesterday"},
        {"preprocessing": "magic=on"},
    ],
)
async def test_a_fitted_model_that_tells_nonsense_is_refused(
    door: TritonInference, triton: FakeTriton, change: dict[str, str]
) -> None:
    fitted(triton.config)
    for key, value in change.items():
        triton.config.parameters[key].string_value = value
    with pytest.raises(ModelNotReady):
        await door.describe()


async def test_steps_that_a_model_names_are_part_of_its_recipe(
    door: TritonInference, triton: FakeTriton
) -> None:
    triton.config.parameters["preprocessing"].string_value = "white_balance=grey_world"
    recipe = (await door.describe()).recipe
    assert isinstance(recipe, Recipe)
    assert recipe.steps == (Step.WHITE_BALANCE_GREY_WORLD,)


async def test_a_text_model_and_a_map_of_texts_are_understood(
    door: TritonInference, triton: FakeTriton
) -> None:
    config = triton.config
    del config.input[:]
    config.input.add(name="input_ids", data_type="TYPE_INT64", dims=[-1])
    config.input.add(name="attention_mask", data_type="TYPE_INT64", dims=[-1])
    config.parameters["tokens"].string_value = "256"
    config.parameters["tokenizer_sha256"].string_value = "f" * 64
    assert (await door.describe()).recipe == Tokens(256, "f" * 64)
    del config.input[:]
    config.input.add(name="sentence", data_type="TYPE_FP32", dims=[384])
    assert (await door.describe()).recipe == Sentences(384)
    config.parameters["text_version"].string_value = "e" * 16
    assert (await door.describe()).recipe == Sentences(384, "e" * 16)


async def test_the_models_that_are_served_are_told(triton: FakeTriton) -> None:
    triton.states = {"efficientnet_lite0": "READY", "gone": "UNAVAILABLE", "next": "LOADING"}
    async with triton.serving() as port, Triton(f"127.0.0.1:{port}", timeout=30) as server:
        assert set(await server.loaded()) == {"efficientnet_lite0", "next"}
        assert await server.states() == triton.states


async def test_a_step_that_is_unknown_is_named_to_the_operator(
    door: TritonInference, triton: FakeTriton
) -> None:
    triton.config.parameters["preprocessing"].string_value = "denoise=magic"
    with pytest.raises(ModelNotReady, match=r"no step 'denoise=magic', only crop=pad"):
        await door.describe()


@pytest.mark.parametrize(
    ("message", "status", "reason", "told"),
    [
        (
            "explicit model load / unload is not allowed",
            "UNAVAILABLE",
            "MODEL_NOT_READY",
            "--model",
        ),
        ("failed to load 'x', no version", "INTERNAL", "MODEL_NOT_READY", "can't load x"),
        ("failed to load 'x'", "INVALID_ARGUMENT", "MODEL_NOT_READY", "can't load x"),
        ("no such model", "NOT_FOUND", "MODEL_NOT_READY", "can't load x"),
        (
            "load failed for model 'x': version 1 is at UNAVAILABLE state: Internal: Stub process "
            "'x_0_1' is not healthy.;",
            "INVALID_ARGUMENT",
            "EMBEDDER_UNAVAILABLE",
            "stood still, while it started",
        ),
        ("connection refused", "UNAVAILABLE", "EMBEDDER_UNAVAILABLE", "does not answer"),
        ("took too long", "DEADLINE_EXCEEDED", "EMBEDDER_UNAVAILABLE", "too long"),
    ],
)
def test_why_a_model_can_not_be_loaded_is_told_in_our_words(
    message: str, status: str, reason: str, told: str
) -> None:
    error = uncontrolled(InferenceServerException(message, status=f"StatusCode.{status}"), "x")
    assert error.reason == reason
    assert told in error.message


async def test_a_model_is_loaded_on_every_server_that_a_name_stands_for() -> None:
    assert await addresses("dns:///127.0.0.1:8604") == ["127.0.0.1:8604"]
    assert await addresses("[::1]:8604") == ["[::1]:8604"]
    assert "127.0.0.1:8604" in await addresses("localhost:8604")
    for unknown in ("unix:/tmp/triton", "nobody.invalid:8604", "xds:///triton"):
        assert await addresses(unknown) == [unknown]
