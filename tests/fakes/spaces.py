"""Dependencies of fitting and promoting without a model server: graphs run in this process."""

import contextlib
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
from google.protobuf import text_format
from PIL import Image
from tritonclient.grpc import model_config_pb2

from embedder.adapters.triton.description import described
from embedder.domain.errors import ModelNotReady, PhotoUndecodable, SpaceUnavailable
from embedder.domain.fits import SentenceVectors
from embedder.domain.fitted import Floats
from embedder.domain.models import Description, Inferred, Tensors
from embedder.domain.photos import Pixels
from embedder.ports import FeatureSource
from servicekit.errors import ServiceError
from tests.fakes import features
from tests.fakes.triton import DESCRIPTION, vectors


def session(folder: Path) -> onnxruntime.InferenceSession:
    """Return a session of a model's graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession((folder / "1/model.onnx").read_bytes(), options)


def description(folder: Path) -> Description:
    """Return the description in a model's configuration."""
    text = (folder / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    return described(SimpleNamespace(config=config))


@dataclass
class FolderServer:
    """Fake Triton that serves the models of a repository folder on demand."""

    models: Path
    loaded: set[str] = field(default_factory=set)
    error: ServiceError | None = None
    """Raised by `load`."""
    failures: int | None = None
    """Maximum number of failures; None: always."""
    spoils: bool = False
    """True if its results differ from the graph's."""

    async def load(self, model: str) -> None:
        if self.error is not None and self.failures != 0:
            self.failures = None if self.failures is None else self.failures - 1
            raise self.error
        if not (self.models / model / "1/model.onnx").is_file():
            raise ModelNotReady(f"Triton can't load {model}")
        self.loaded.add(model)

    async def unload(self, model: str) -> None:
        self.loaded.discard(model)

    def inference(self, model: str) -> "FolderInference":
        return FolderInference(self, model)


@dataclass
class FolderInference:
    """A model of the server."""

    server: FolderServer
    model: str

    async def describe(self) -> Description:
        return description(self._folder())

    async def infer(self, inputs: Tensors) -> Inferred:
        found, *categories = session(self._folder()).run(None, dict(inputs))
        if self.server.spoils:
            found = np.roll(found, 1, axis=1)
        return Inferred(found, "1", categories[0] if categories else None)

    def _folder(self) -> Path:
        if self.model not in self.server.loaded:
            raise ModelNotReady(f"{self.model} is not loaded")
        return self.server.models / self.model


@dataclass
class TinySource:
    """Source of photo features by the tiny features model, or of vectors to compare with."""

    description: Description
    folder: Path | None
    calls: list[bytes]
    failures: list[ServiceError]

    async def features(self, photo: bytes) -> tuple[Floats, Pixels]:
        if self.failures:
            raise self.failures.pop(0)
        try:
            picture = Image.open(io.BytesIO(photo)).convert("RGB")
        except OSError as error:
            raise PhotoUndecodable("no photo") from error
        self.calls.append(photo)
        side = features.SIDE
        seen = np.asarray(picture.resize((side, side)))
        views = np.stack([seen, seen[:, ::-1], np.roll(seen, 1, 0), np.roll(seen, 2, 1)])
        if self.folder is None:
            return vectors(views[:1], 12), seen
        (found,) = session(self.folder).run(None, {"image": views})
        return found, seen


@dataclass
class TinySources:
    """See ports.Sources."""

    folder: Path
    calls: list[bytes] = field(default_factory=list)
    """Photos whose features were computed."""
    failures: list[ServiceError] = field(default_factory=list)
    """Raised by the next calls, in turn."""
    texts: bool = True

    @contextlib.asynccontextmanager
    async def backbone(self, name: str, catalog_id: str) -> AsyncIterator[FeatureSource]:
        assert name == self.folder.name
        yield TinySource(description(self.folder), self.folder, self.calls, self.failures)

    async def baseline(self, catalog_id: str) -> FeatureSource:
        return TinySource(DESCRIPTION, None, [], [])

    async def sentences(self, texts: Sequence[str], catalog_id: str) -> SentenceVectors:
        if not self.texts:
            raise SpaceUnavailable("no model serves texts")
        found = [np.random.default_rng(len(text)).normal(size=384) for text in texts]
        unit = [each / np.linalg.norm(each) for each in found]
        return SentenceVectors("e" * 16, np.array(unit, np.float32))
