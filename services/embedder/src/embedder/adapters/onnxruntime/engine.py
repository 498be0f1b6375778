"""The models of folders, each in a process of its own: an engine beside Triton, for CPUs."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from embedder.adapters.onnxruntime.frames import MEMORY
from embedder.adapters.onnxruntime.model_process import ModelProcess
from embedder.adapters.triton import config_file
from embedder.adapters.triton.client import CONTROL_SECONDS, READY, RESERVE, UP
from embedder.adapters.triton.description import inferred
from embedder.domain.errors import (
    DeadlinePassed,
    EmbedderUnavailable,
    ModelAbsent,
    ModelNotReady,
    ModelSilent,
)
from embedder.domain.items import Priority
from embedder.domain.models import Description, Inferred, Tensors
from embedder.domain.urgency import urgency
from servicekit import deadlines, tracing
from servicekit.errors import DeadlineExceeded, ServiceError
from servicekit.telemetry import get_logger

LOADING: Final = "LOADING"
START_SECONDS: Final = 3.0
"""Seconds that the start of the service waits for its models; it serves those that are loaded, and
the others once they are."""
GRAPH: Final = "model.onnx"

log = get_logger()


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that was loaded; its process may have ended."""

    process: ModelProcess
    description: Description
    version: str


class OnnxEngine:
    """The models of folders in Triton's form; implements ports.InferenceEngine.

    As Triton does, it reports a model whose process has ended as READY: an inference shows it, and
    whoever watches the models loads it again.
    """

    def __init__(
        self, folders: Sequence[Path], timeout: float, memory: int, first: Sequence[str] = ()
    ) -> None:
        """`folders`: with the folders of models; `timeout`: seconds of an inference; `memory`:
        bytes that each process may take; `first`: models to load at the start."""
        self._folders = folders
        self.timeout = timeout
        self._memory = memory
        self._first = first
        self._models: dict[str, LoadedModel] = {}
        self._problems: dict[str, ServiceError] = {}
        """Why models could not be loaded."""
        self._loading: set[str] = set()
        self._turns = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._starting: asyncio.Task[None] | None = None
        self._ending: set[ModelProcess] = set()

    async def __aenter__(self) -> Self:
        self._starting = asyncio.create_task(self._load_first())
        await asyncio.wait([self._starting], timeout=START_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        for name in list(self._models):
            self._end(self._models.pop(name), 0.0)
        await asyncio.gather(*(process.ended() for process in self._ending))

    def inference(self, model: str) -> "OnnxInference":
        return OnnxInference(self, model)

    def model(self, name: str) -> LoadedModel:
        """Return a loaded model. Raises ModelAbsent, or why it could not be loaded."""
        if (found := self._models.get(name)) is not None:
            return found
        if (problem := self._problems.get(name)) is not None:
            raise problem
        raise ModelAbsent(f"{name} is not loaded")

    async def loaded(self) -> Collection[str]:
        return {*self._models, *self._loading}

    async def states(self) -> Mapping[str, str]:
        return dict.fromkeys(self._loading, LOADING) | dict.fromkeys(self._models, READY)

    async def load(self, model: str) -> None:
        async with self._turns[model]:
            self._loading.add(model)
            try:
                made = await self._started(model)
            except ServiceError as error:
                self._problems[model] = error
                raise
            finally:
                self._loading.discard(model)
            self._problems.pop(model, None)
            former, self._models[model] = self._models.get(model), made
            if former is not None:
                self._end(former, self.timeout)

    async def unload(self, model: str) -> None:
        async with self._turns[model]:
            self._problems.pop(model, None)
            if (former := self._models.pop(model, None)) is not None:
                self._end(former, self.timeout)

    async def _load_first(self) -> None:
        """Load the models of the start one after the other: the first serves soonest."""
        for model in self._first:
            try:
                await self.load(model)
            except ServiceError as error:
                log.warning("model not loaded", model=model, problem=str(error))

    async def _started(self, model: str) -> LoadedModel:
        folder = await asyncio.to_thread(self._folder, model)
        description, version, order = await asyncio.to_thread(_order, model, folder, self._memory)
        process = await ModelProcess.start(model, order, CONTROL_SECONDS)
        return LoadedModel(process, description, version)

    def _folder(self, model: str) -> Path:
        for folder in self._folders:
            if (folder / model / config_file.NAME).is_file():
                return folder / model
        raise ModelNotReady(
            f"{model} is in none of the folders of models: build it by `python -m"
            " triton_engine.build` in deploy/triton, or copy it into EMBEDDER_BACKBONES"
        )

    def _end(self, former: LoadedModel, seconds: float) -> None:
        self._ending = {each for each in self._ending if not each.gone}
        self._ending.add(former.process)
        former.process.retire(seconds)


class OnnxInference:
    """A model of the engine; implements ports.Inference."""

    def __init__(self, engine: OnnxEngine, model: str) -> None:
        self.model = model
        self._engine = engine

    async def describe(self) -> Description:
        return self._engine.model(self.model).description

    async def infer(self, inputs: Tensors) -> Inferred:
        """Run the model within the caller's deadline; see ports.Inference."""
        try:
            seconds = deadlines.budget(RESERVE, self._engine.timeout)
        except DeadlineExceeded as error:
            raise DeadlinePassed from error
        try:
            async with asyncio.timeout(seconds):
                answer = await self._infer(inputs)
        except TimeoutError:
            if seconds != self._engine.timeout:
                raise DeadlinePassed from None  # which says nothing about the model
            UP.labels(self.model).set(0)
            raise ModelSilent from None
        except ServiceError as error:
            UP.labels(self.model).set(not isinstance(error, EmbedderUnavailable))
            raise
        UP.labels(self.model).set(1)
        return answer

    async def _infer(self, inputs: Tensors) -> Inferred:
        found = self._engine.model(self.model)
        rows = max((len(values) for values in inputs.values()), default=0)
        about: dict[str, str | int] = {"sightline.model": self.model, "sightline.rows": rows}
        with tracing.within("onnxruntime", attributes=about) as span:
            bulk = urgency.get() is Priority.BULK
            outputs = await found.process.run(inputs, bulk=bulk)
            if span is not None:
                span.note("sightline.model_version", found.version)
        return inferred(outputs, found.version)


def _order(model: str, folder: Path, memory: int) -> tuple[Description, str, dict[str, str | int]]:
    """Return a model's description, its newest version, and the order to load that. Raises
    ModelNotReady."""
    try:
        text = (folder / config_file.NAME).read_text()
        description, config = config_file.read(text)
    except (OSError, ValueError) as error:
        log.warning("configuration can't be used", model=model, problem=str(error))
        raise ModelNotReady(
            f"the {config_file.NAME} of {model} is not of a model for CPUs; see the embedder's log"
        ) from error
    built = [each for each in description.hashes if (folder / each / GRAPH).is_file()]
    if not built:
        raise ModelNotReady(
            f"{model} has no {GRAPH}: build it by `python -m triton_engine.build` in"
            " deploy/triton, or copy it into EMBEDDER_BACKBONES"
        )
    version = max(built, key=int)
    order: dict[str, str | int] = {
        "model_config": config,
        "model_repository": str(folder),
        "model_version": version,
        MEMORY: memory,
    }
    return description, version, order
