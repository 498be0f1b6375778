"""A model and a model server that answer at once, and fail when a test says so."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from embedder.domain.errors import ClassifierUnavailable, HeatMapUnavailable
from embedder.domain.fitted import FittedSpace
from embedder.domain.items import Vectors
from embedder.domain.models import CHECKSUM, Description, Inferred, Tensors
from embedder.domain.photos import Pixels
from embedder.domain.recipes import PhotoRecipe, TextInput
from embedder.ports import MatchCosines
from servicekit.errors import ServiceError
from servicekit.outbound.fetch import UriForbidden

MODELS = Path(__file__).resolve().parents[2] / "deploy/triton/models"
LITE0, LITE2 = "efficientnet_lite0", "efficientnet_lite2"

RECIPE = PhotoRecipe(side=8, crop=0.875, normalisation="none")
DESCRIPTION = Description(
    model="fake",
    space="visual",
    dimension=12,
    recipe=RECIPE,
    precision="fp32",
    licence="Apache-2.0",
    hashes={"1": "a" * 64},
    max_batch=4,
)


def vectors(pixels: Pixels, dimension: int) -> Vectors:
    """Return unit vectors that are alike for pictures that are alike."""
    count, side = len(pixels), pixels.shape[1]
    step = max(side // 8, 1)
    seen = pixels[:, ::step, ::step].reshape(count, -1).astype(np.float64) - 127.5
    projection = np.random.default_rng(0).normal(size=(seen.shape[1], dimension))
    projected = seen @ projection + 1e-3
    unit = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    return np.asarray(unit, np.float32)


def vectors_of(inputs: Tensors, dimension: int) -> Vectors:
    """Return unit vectors of whatever a model is given; a catalog photo's are mirrored."""
    first, *_ = inputs.values()
    if "image" not in inputs:
        found = np.zeros((len(first), dimension), np.float32)
        found[np.arange(len(first)), (first.sum(axis=1) * 7).astype(int) % dimension] = 1
        return found
    found = vectors(inputs["image"], dimension)
    return np.where(inputs["kind"] == 1, found[:, ::-1], found) if "kind" in inputs else found


@dataclass
class FakeInference:
    """An Inference in this process."""

    description: Description = DESCRIPTION
    version: str = "1"
    error: ServiceError | None = None
    """Raised by infer when set."""
    dies_in_turn: ServiceError | None = None
    """Raised by every second infer when set."""
    silence: ServiceError | None = None
    """Raised by describe when set."""
    answer: Vectors | None = None
    """If set, returned instead of vectors of the pixels."""
    gate: asyncio.Event | None = None
    """If set, `infer` waits for it."""
    watch: Callable[[], object] = lambda: None
    """Called by infer."""
    chances: Vectors | None = None
    """If set, the returned probabilities of categories."""
    batches: list[int] = field(default_factory=list)
    given: list[Tensors] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first infer."""
    described: int = 0
    running: int = 0
    most_running: int = 0

    @property
    def model(self) -> str:
        return self.description.model

    def change(self, **changes: Any) -> None:
        """Put another model in this one's place."""
        self.description = replace(self.description, **changes)

    async def describe(self) -> Description:
        self.described += 1
        await asyncio.sleep(0)
        if self.silence is not None:
            raise self.silence
        return self.description

    async def infer(self, inputs: Tensors) -> Inferred:
        self.watch()
        self.given.append(inputs)
        self.batches.append(len(next(iter(inputs.values()))))
        turn = len(self.batches)
        self.started.set()
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        if self.dies_in_turn is not None and turn % 2:
            raise self.dies_in_turn
        found = vectors_of(inputs, self.description.dimension)
        if self.answer is not None:
            found = self.answer
        return Inferred(found, self.version, self._categories(len(found)))

    def _categories(self, count: int) -> Vectors | None:
        """Return probabilities of one half for the first category and the unknown one."""
        if not self.description.categories:
            return None
        chances = np.zeros((count, self.description.categories + 1), np.float32)
        chances[:, [0, -1]] = 0.5
        return chances if self.chances is None else self.chances[:count]


class FakeModels:
    """Models on demand; a load removes the error of the given model."""

    def __init__(self, model: FakeInference | None = None) -> None:
        self.model = model
        self.loads: list[str] = []
        self.uses: list[str] = []

    @asynccontextmanager
    async def loaded(self, name: str) -> AsyncIterator[None]:
        self.loads.append(name)
        if self.model is not None:
            self.model.error = None
        yield

    @contextmanager
    def kept(self, name: str) -> Iterator[None]:
        self.uses.append(name)
        yield


@dataclass
class FakeFetch:
    """A web of a few addresses."""

    pages: dict[str, bytes | ServiceError] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    """If set, `fetch` waits for it."""

    @asynccontextmanager
    async def fetched(self, uri: str) -> AsyncIterator[bytes]:
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        page = self.pages.get(uri, UriForbidden("its host is not allowed"))
        if isinstance(page, ServiceError):
            raise page
        yield page


class FakeEncoder:
    """A token for each letter."""

    def __init__(self) -> None:
        self.encoded: list[Sequence[str]] = []
        self.failure: ServiceError | None = None

    async def encode(self, model: str, recipe: TextInput, texts: Sequence[str]) -> Tensors:
        self.encoded.append(texts)
        if self.failure is not None:
            raise self.failure
        ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
        for row, text in zip(ids, texts, strict=True):
            row[: len(text)] = [ord(letter) for letter in text]
        return {"input_ids": ids, "attention_mask": np.asarray(ids > 0, np.int64)}


@dataclass
class FakeNames:
    """Names of categories that a test sets."""

    paths: Sequence[tuple[str, ...]] | None = None
    cosines: MatchCosines = ()

    async def match_cosines(self, model: str) -> MatchCosines:
        return self.cosines

    async def categories(self, model: str) -> Sequence[tuple[str, ...]]:
        if self.paths is None:
            raise ClassifierUnavailable("no names")
        return self.paths

    async def fitted_map(self, model: str) -> tuple[str, FittedSpace]:
        raise HeatMapUnavailable("no map")


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """A Triton over gRPC that serves the models of deploy/triton by their own configurations."""

    def __init__(self) -> None:
        self.configs = {
            name: text_format.Parse(
                (MODELS / name / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
            )
            for name in (LITE0, LITE2)
        }
        self.version = "1"
        self.states: dict[str, str] = {}
        """States of models in the repository's index; empty: all are ready."""
        self.failure: tuple[grpc.StatusCode, str] | None = None
        self.delay = 0.0
        self.live = asyncio.Event()
        """True if it reports live; otherwise it does not answer."""
        self.live.set()
        self.ailing = {LITE0, LITE2}
        """The models that fail and are slow, when a test says so."""
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.output = "embedding"
        self.answers: list[Any] = []
        self.spoil: Callable[[Any], Any] = lambda answer: answer
        """Makes of an answer what the caller gets."""

    @property
    def config(self) -> Any:
        """The default model's configuration."""
        return self.configs[LITE0]

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        await self._maybe_fail(request.name, context)
        return service_pb2.ModelConfigResponse(config=self.configs[request.name])

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        await self._maybe_fail(request.model_name, context)
        shape = list(request.inputs[0].shape)
        pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(shape)
        dimension = self.configs[request.model_name].output[0].dims[0]
        answer = service_pb2.ModelInferResponse(
            model_name=request.model_name, model_version=self.version
        )
        answer.outputs.add(name=self.output, datatype="FP32", shape=[shape[0], dimension])
        answer.raw_output_contents.append(vectors(pixels, dimension).tobytes())
        if CHECKSUM in {output.name for output in self.configs[request.model_name].output}:
            names = [each.name for each in request.inputs]
            given = sorted(zip(names, request.raw_input_contents, strict=True))
            contents = [*(each for _, each in given), *answer.raw_output_contents]
            found = zlib.crc32(request.id.encode() + b"".join(contents))
            answer.outputs.add(name=CHECKSUM, datatype="UINT32", shape=[shape[0], 1])
            answer.raw_output_contents.append(np.full(shape[0], found, "<u4").tobytes())
        self.answers.append(answer)
        return self.spoil(answer)

    async def ServerLive(self, request: Any, context: Any) -> Any:
        await self.live.wait()
        return service_pb2.ServerLiveResponse(live=True)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        answer = service_pb2.RepositoryIndexResponse()
        for name, state in (self.states or dict.fromkeys(self.configs, "READY")).items():
            answer.models.add(name=name, version=self.version, state=state)
        return answer

    async def _maybe_fail(self, model: str, context: Any) -> None:
        if model not in self.configs:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"'{model}' is not found")
        if model not in self.ailing:
            return
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            await context.abort(*self.failure)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[int]:
        """Serve on a port of this machine. Yield the port."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, server)
        taken = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield taken
        finally:
            await server.stop(0)
