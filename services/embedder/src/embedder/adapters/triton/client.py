"""Client of Triton: states of models, loading and unloading, inferences."""

import asyncio
import functools
import itertools
import secrets
import socket
import zlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Self

import numpy as np
import tritonclient.grpc.aio as triton
from prometheus_client import Counter, Gauge
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from embedder.adapters.triton.description import described, inferred
from embedder.adapters.triton.errors import LATE, translate, uncontrolled
from embedder.domain.errors import DeadlinePassed, EmbedderUnavailable, ProcessLost
from embedder.domain.items import Priority
from embedder.domain.models import CHECKSUM, Description, Inferred, Tensors
from embedder.domain.urgency import urgency
from servicekit import deadlines, tracing
from servicekit.errors import DeadlineExceeded, ServiceError
from servicekit.rpc.breaker import CircuitBreaker
from servicekit.rpc.channel import Lost
from servicekit.rpc.interceptors import outgoing_metadata
from servicekit.rpc.tls import Certificates

_NUMBERS: Final = itertools.count(secrets.randbits(59))
"""Request numbers, from a random start, so that embedders that share a server use different
ones."""

_BULK: Final[Mapping[str, Any]] = {"priority": 2, "parameters": {"bulk": True}}
"""Arguments of requests of imports: for queues of Triton's own backends, and for 1/model.py of
deploy/triton."""

RESERVE: Final = 0.01
"""Seconds of the caller's deadline reserved to report that Triton was too slow."""

CONTROL_KEY: Final = "triton-grpc-protocol-sightline-control"
"""Header of the key of model control, for servers with `--grpc-restricted-protocol`."""

CONTROL_SECONDS: Final = 120.0
"""Maximum seconds to load or unload a model; TensorRT may build an engine first."""

UP: Final = Gauge(
    "sightline_triton_up",
    "Whether Triton, or with EMBEDDER_ENGINE=onnx the model's process, answered the last call.",
    ("model",),
)

STRAY: Final = Counter(
    "sightline_triton_stray_answers",
    "Answers rejected because they belong to another request.",
    ("model",),
)

LEAST_VERSION: Final = "2.59.1"
"""Triton 25.07: earlier ones allow remote takeover (CVE-2025-23319 and others). 2.59.0 is 25.06."""

READY: Final = "READY"
_SERVED: Final = frozenset({READY, "LOADING"})
"""States of the repository index of models that serve or will soon serve."""


class Triton:
    """Client of a model server; implements ports.InferenceEngine."""

    def __init__(
        self, target: str, timeout: float, control_key: str = "", tls: Certificates | None = None
    ) -> None:
        """Connect on first use; requires a running event loop. `timeout` in seconds.

        `control_key`: key for reading and changing what the server serves. `tls`: certificates;
        None: plain text.
        """
        self._timeout = timeout
        self._key = {CONTROL_KEY: control_key} if control_key else {}
        if "://" not in target and not target.startswith(("unix:", "dns:", "ipv4:", "ipv6:")):
            target = f"dns:///{target}"
        self._target, self._tls = target, tls
        self._connected: dict[object, Any] = {}
        self._lost = Lost()
        self._ending: set[asyncio.Task[None]] = set()
        self._breaker = CircuitBreaker(self._is_there, "triton")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._breaker.close()
        await asyncio.gather(*self._ending, *(c.close() for c in self._connected.values()))

    @property
    def _client(self) -> Any:
        """Client of the target with the current certificates. Earlier clients finish their calls;
        certificates change every few weeks. A client that lost all servers is replaced.
        """
        credentials = None if self._tls is None else self._tls.calling()
        known = self._connected.get(credentials)
        if known is not None and self._lost(known._channel):
            ending = asyncio.ensure_future(known._channel.close(self._timeout))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            known = None
        if known is None:
            known = self._connected[credentials] = self._connect(self._target)
        return known

    def _connect(self, address: str) -> Any:
        """Return a client of a server address, by default the target."""
        if self._tls is None:
            return triton.InferenceServerClient(address, channel_args=_channel_args())
        host = self._target.removeprefix("dns:///").rpartition(":")[0].strip("[]")
        named = [] if address == self._target else [("grpc.ssl_target_name_override", host)]
        return triton.InferenceServerClient(
            address, creds=self._tls.calling(), channel_args=[*_channel_args(), *named]
        )

    def inference(self, model: str) -> "TritonInference":
        """Return a model; calls of a missing model fail."""
        return TritonInference(self, model)

    async def version(self) -> str | None:
        """Return the version of the server; None if it does not answer."""
        try:
            return str((await self.call("", self._client.get_server_metadata)).version)
        except ServiceError:
            return None

    async def _is_there(self, seconds: float) -> bool:
        """Return whether a server answers, with any status."""
        try:
            await self._client.is_server_live(client_timeout=seconds)
        except InferenceServerException as error:
            return bool(error.status() != LATE)
        return True

    async def loaded(self) -> Collection[str]:
        index = await self._index(self._client)
        return {name for name, state in index.items() if state in _SERVED}

    async def states(self) -> Mapping[str, str]:
        """Return the states of models. If servers differ, a state other than serving is
        returned."""
        found: dict[str, str] = {}
        servers = await addresses(self._target)
        if len(servers) == 1:  # it is checked often, so no connection is made for it
            return await self._index(self._client)
        for address in servers:
            async with self._connect(address) as one:
                for name, state in (await self._index(one)).items():
                    if found.get(name, READY) == READY:
                        found[name] = state
        return found

    async def _index(self, client: Any) -> dict[str, str]:
        answer = await self.call("", client.get_model_repository_index, headers=self._key)
        return {entry.name: entry.state for entry in answer.models}

    async def load(self, model: str) -> None:
        await self._control("load_model", model)

    async def unload(self, model: str) -> None:
        await self._control("unload_model", model)

    async def _control(self, method: str, model: str) -> None:
        """Call every server behind the target, where a normal call reaches only one of them."""
        for address in await addresses(self._target):
            async with self._connect(address) as one:
                try:
                    await getattr(one, method)(
                        model, client_timeout=CONTROL_SECONDS, headers=self._key or None
                    )
                except InferenceServerException as error:
                    raise uncontrolled(error, model) from error

    async def config(self, model: str) -> Any:
        """Return a model's ModelConfigResponse."""
        return await self.call(model, self._client.get_model_config, model)

    async def infer(self, model: str, inputs: Tensors, request_id: str) -> Any:
        """Return a model's InferResult."""
        given = []
        for name, values in inputs.items():
            tensor = triton.InferInput(name, values.shape, np_to_triton_dtype(values.dtype))
            given.append(tensor.set_data_from_numpy(values))
        bulk = _BULK if urgency.get() is Priority.BULK else {}
        infer = functools.partial(self._client.infer, request_id=request_id, **bulk)
        rows = max((values.shape[0] for values in inputs.values()), default=0)
        about = {"sightline.model": model, "sightline.rows": rows}
        with tracing.asking("inference.GRPCInferenceService/ModelInfer", about) as span:
            answer = await self.call(model, infer, model, given)
            if span is not None:
                span.note("sightline.model_version", str(answer.get_response().model_version))
        return answer

    async def call(
        self,
        model: str,
        function: Callable[..., Any],
        *arguments: object,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Call Triton within the caller's deadline, and translate its errors.

        `model`: label of the metric that shows whether it answered; empty: no metric. Fails at once
        while the servers hang.
        """
        if model and self._breaker.hangs:
            raise EmbedderUnavailable("the model server does not answer health checks")
        try:
            timeout = deadlines.budget(RESERVE, self._timeout)
        except DeadlineExceeded as error:
            raise DeadlinePassed from error
        try:
            # Triton records every call of a trace, so unsampled traces are not sent.
            sent = outgoing_metadata(recorded=True) | dict(headers or {})
            answer = await function(*arguments, client_timeout=timeout, headers=sent or None)
        except InferenceServerException as error:
            if error.status() == LATE:
                self._breaker.suspect()
            meant = translate(error, own_limit=timeout == self._timeout)
            if model and not isinstance(
                meant, DeadlinePassed
            ):  # the caller's cancellation says nothing about Triton
                UP.labels(model).set(not isinstance(meant, EmbedderUnavailable))
            raise meant from error
        except (
            asyncio.CancelledError
        ):  # the deadline may have been too short; a health check is cheap
            self._breaker.suspect()
            raise
        if model:
            UP.labels(model).set(1)
        return answer


class TritonInference:
    """A model in Triton; implements ports.Inference."""

    def __init__(self, server: Triton, model: str) -> None:
        self.model = model
        self._server = server
        self._checksums = True
        """True if answers have checksums; assumed until the configuration is read."""
        self._asked: set[asyncio.Task[Inferred]] = set()

    async def describe(self) -> Description:
        found = described(await self._server.config(self.model))
        self._checksums = found.checksums
        return found

    async def infer(self, inputs: Tensors) -> Inferred:
        """Run the model; see ports.Inference. If the model's process is lost, all calls fail at
        once: Triton answers none of those that the process had."""
        asked = asyncio.ensure_future(self._infer(inputs))
        self._asked.add(asked)
        try:
            return await asked
        except ProcessLost:
            for other in self._asked - {asked}:
                other.cancel()
            raise
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise ProcessLost("the model's process ended") from None
        finally:
            self._asked.discard(asked)

    async def _infer(self, inputs: Tensors) -> Inferred:
        """Run the model once. Raises ProcessLost for an answer to another request too."""
        number = str(next(_NUMBERS))
        result = await self._server.infer(self.model, inputs, number)
        if not await self._is_own(result, number, inputs):
            STRAY.labels(self.model).inc()
            raise ProcessLost("the model answered another request")
        answer = result.get_response()
        named = ((output.name, result.as_numpy(output.name)) for output in answer.outputs)
        outputs = {name: values for name, values in named if values is not None}
        return inferred(outputs, str(answer.model_version))

    async def _is_own(self, result: Any, number: str, inputs: Tensors) -> bool:
        """Return whether the checksum of an answer matches this request; true for models without
        checksums."""
        given = result.as_numpy(CHECKSUM)
        if given is None:  # incomplete, or of a model that was replaced
            return not self._checksums or not (await self.describe()).checksums
        return bool((given == _checksum(number, inputs, result.get_response())).all())


def _checksum(request_id: str, inputs: Tensors, answer: Any) -> int:
    """Return the expected output CHECKSUM of a ModelInferResponse."""
    found = zlib.crc32(request_id.encode())
    for name in sorted(inputs):
        found = zlib.crc32(np.ascontiguousarray(inputs[name]).data, found)
    outputs = zip([o.name for o in answer.outputs], answer.raw_output_contents, strict=False)
    for name, content in sorted(outputs):
        if name != CHECKSUM:
            found = zlib.crc32(content, found)
    return found


async def addresses(target: str) -> list[str]:
    """Return the addresses behind a target; the target itself if it can't be resolved."""
    host, found, port = target.removeprefix("dns:///").rpartition(":")
    if not found or not port.isdecimal():
        return [target]
    try:
        looked_up = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )
    except OSError:
        return [target]
    addresses = {each[4][0] for each in looked_up}
    return [
        f"[{each}]:{port}" if ":" in str(each) else f"{each}:{port}" for each in sorted(addresses)
    ]


def _channel_args() -> list[tuple[str, Any]]:
    return [
        ("grpc.lb_policy_name", "round_robin"),
        # By default gRPC waits up to two minutes before it reconnects to a lost server.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.dns_min_time_between_resolutions_ms", 2000),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
