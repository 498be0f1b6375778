"""The mapping of Triton's errors."""

import grpc
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from embedder.adapters.triton.client import TritonInference
from embedder.adapters.triton.errors import TABLE, translate, uncontrolled
from embedder.domain.errors import (
    EmbedderUnavailable,
    ModelAbsent,
    ModelFailed,
    ModelNotReady,
    ProcessLost,
    QueueFull,
)
from embedder.domain.photos import Pixels
from servicekit.errors import ServiceError
from tests.fakes.triton import FakeTriton

PIXELS: Pixels = np.zeros((3, 224, 224, 3), np.uint8)


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
            ModelAbsent,
        ),
        ("NOT_FOUND", "Request for unknown model: 'x' is not found", ModelAbsent),
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
    served: TritonInference, triton: FakeTriton, code: str, message: str, kind: type[ServiceError]
) -> None:
    triton.failure = (grpc.StatusCode[code], message)
    for call in (served.describe(), served.infer({"image": PIXELS})):
        with pytest.raises(kind) as caught:
            await call
        assert type(caught.value) is kind
        assert not message or message not in caught.value.message


def test_an_answer_that_the_client_could_not_read_is_the_model_s_failure() -> None:
    reported = translate(InferenceServerException("no such output"), own_limit=False)
    assert isinstance(reported, ModelFailed)


@pytest.mark.parametrize(
    ("message", "status", "reason", "reported"),
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
            "ended or hung during its start",
        ),
        ("connection refused", "UNAVAILABLE", "EMBEDDER_UNAVAILABLE", "does not answer"),
        ("took too long", "DEADLINE_EXCEEDED", "EMBEDDER_UNAVAILABLE", "too long"),
    ],
)
def test_why_a_model_can_not_be_loaded_is_reported_in_our_words(
    message: str, status: str, reason: str, reported: str
) -> None:
    error = uncontrolled(InferenceServerException(message, status=f"StatusCode.{status}"), "x")
    assert error.reason == reason
    assert reported in error.message
