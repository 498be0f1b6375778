"""The door to Triton: the only place that knows tritonclient, its types and its errors."""

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import tritonclient.grpc.aio as triton
from prometheus_client import Gauge
from tritonclient.utils import InferenceServerException

from embedder.model import (
    DeadlinePassed,
    Description,
    EmbedderUnavailable,
    Inferred,
    ModelFailed,
    ModelNotReady,
    Pixels,
    QueueFull,
    Recipe,
)
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded, ServiceError
from servicekit.interceptors import outgoing_metadata

INPUT: Final = "image"
OUTPUT: Final = "embedding"

RESERVE: Final = 0.01
"""Seconds of the caller's deadline that are kept back to report that Triton was too slow."""

UP: Final = Gauge("sightline_triton_up", "Whether Triton answered the last call.", ("model",))

_VERSION_HASH: Final = re.compile(r"version_(\d+)_sha256")


class TritonInference:
    """A model in Triton as the embedder's Inference."""

    def __init__(self, target: str, model: str, timeout: float) -> None:
        """Connect on first use; to be called where an event loop runs. `timeout` in seconds."""
        self.model = model
        self._timeout = timeout
        if "://" not in target and not target.startswith(("unix:", "dns:", "ipv4:", "ipv6:")):
            target = f"dns:///{target}"
        self._client = triton.InferenceServerClient(target, channel_args=_channel_args())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        await self._client.close()

    async def describe(self) -> Description:
        """Read the model's configuration; see model.Inference."""
        return described(await self._call(self._client.get_model_config, self.model))

    async def infer(self, pixels: Pixels) -> Inferred:
        """Run the model; see model.Inference."""
        image = triton.InferInput(INPUT, pixels.shape, "UINT8")
        image.set_data_from_numpy(pixels)
        result = await self._call(self._client.infer, self.model, [image])
        vectors = result.as_numpy(OUTPUT)
        if vectors is None:
            raise ModelFailed(f"the model's answer has no output {OUTPUT}")
        version = result.get_response().model_version
        return Inferred(np.asarray(vectors, np.float32), str(version))

    async def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call Triton within the caller's deadline, and translate what goes wrong."""
        try:
            timeout = deadlines.budget(RESERVE, self._timeout)
        except DeadlineExceeded as error:
            raise DeadlinePassed from error
        try:
            answer = await function(
                *arguments, client_timeout=timeout, headers=outgoing_metadata() or None
            )
        except InferenceServerException as error:
            told = translate(error, own_limit=timeout == self._timeout)
            if not isinstance(told, DeadlinePassed):  # which says nothing of Triton
                UP.labels(self.model).set(not isinstance(told, EmbedderUnavailable))
            raise told from error
        UP.labels(self.model).set(1)
        return answer


def _unavailable(message: str) -> ServiceError:
    if "Exceeds maximum queue size" in message:
        return QueueFull()
    return EmbedderUnavailable("the model server does not answer")


def _absent(_message: str) -> ServiceError:
    # "has no available versions" is also said while a model loads or drains.
    return EmbedderUnavailable("the model server has no such model now")


def _broken(message: str) -> ServiceError:
    if "stub process" in message.lower():
        return EmbedderUnavailable("the model's process ended")
    return ModelFailed("the model failed")


def _unfit(_message: str) -> ServiceError:
    return ModelNotReady("the model server refuses what this service asks of its model")


TABLE: Final[Mapping[str, Callable[[str], ServiceError]]] = {
    "StatusCode.CANCELLED": _unavailable,
    "StatusCode.UNKNOWN": _broken,
    "StatusCode.INVALID_ARGUMENT": _unfit,
    "StatusCode.NOT_FOUND": _absent,
    "StatusCode.ALREADY_EXISTS": _unfit,
    "StatusCode.PERMISSION_DENIED": _unfit,
    "StatusCode.UNAUTHENTICATED": _unfit,
    "StatusCode.RESOURCE_EXHAUSTED": _unavailable,
    "StatusCode.FAILED_PRECONDITION": _unfit,
    "StatusCode.ABORTED": _unavailable,
    "StatusCode.UNIMPLEMENTED": _unfit,
    "StatusCode.OUT_OF_RANGE": _unfit,
    "StatusCode.INTERNAL": _broken,
    "StatusCode.UNAVAILABLE": _unavailable,
    "StatusCode.DATA_LOSS": _broken,
    "StatusCode.DEADLINE_EXCEEDED": lambda _message: DeadlinePassed(),
}
"""What Triton's errors mean, by InferenceServerException.status(), which is a text. Every status
that gRPC has is here; a test compares."""


def translate(error: InferenceServerException, *, own_limit: bool) -> ServiceError:
    """Say what Triton's error means to a caller.

    `own_limit`: the time that ran out was this service's own limit, not the caller's deadline.
    None of Triton's text is passed on: it names hosts, paths and internals.
    """
    status = error.status()
    if own_limit and status == "StatusCode.DEADLINE_EXCEEDED":
        return EmbedderUnavailable("the model server takes too long")
    # Without a status the client itself could not read the answer.
    meaning = TABLE.get(status, _broken) if isinstance(status, str) else _broken
    return meaning(str(error.message() or ""))


def described(response: Any) -> Description:
    """Read what the embedder needs from a ModelConfigResponse.

    Raises ModelNotReady when the model is not of the form that deploy/triton/README.md describes.
    """
    config = response.config
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    versions = {key: _VERSION_HASH.fullmatch(key) for key in parameters}
    try:
        (taken,), (given,) = config.input, config.output
        (side, _, _), (dimension,) = taken.dims, given.dims
        found = Description(
            model=config.name,
            space=parameters["space"],
            dimension=dimension,
            recipe=Recipe(side, float(parameters["crop"]), parameters["normalisation"]),
            precision=parameters["precision"],
            licence=parameters.get("licence", ""),
            hashes={match[1]: parameters[key] for key, match in versions.items() if match},
            max_batch=config.max_batch_size,
            instances=max(1, sum(group.count for group in config.instance_group)),
        )
    except (KeyError, ValueError) as error:
        raise _foreign(config.name) from error
    tensors = (taken.name, list(taken.dims), given.name)
    if tensors != (INPUT, [side, side, 3], OUTPUT) or not _usable(found):
        raise _foreign(config.name)
    return found


def _usable(found: Description) -> bool:
    sizes = min(found.recipe.side, found.dimension, found.max_batch)
    return sizes > 0 and 0 < found.recipe.crop <= 1 and bool(found.hashes)


def _foreign(model: str) -> ModelNotReady:
    return ModelNotReady(f"this service does not understand the configuration of {model}")


def _channel_args() -> list[tuple[str, Any]]:
    return [
        ("grpc.lb_policy_name", "round_robin"),
        # The default waits up to two minutes before it looks for a lost server again.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.dns_min_time_between_resolutions_ms", 2000),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
