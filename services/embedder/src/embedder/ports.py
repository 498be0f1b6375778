"""Ports of the use cases: models, files and one another."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from embedder.domain.fits import SentenceVectors
from embedder.domain.fitted import FittedSpace, Floats
from embedder.domain.items import Vectors
from embedder.domain.labels import Corners
from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import Description, Inferred, Tensors
from embedder.domain.photos import Camera, PhotoView, Pixels, PreparedPhoto
from embedder.domain.recipes import PhotoRecipe, TextInput
from servicekit.telemetry import Stages

MatchCosines = Sequence[Sequence[Sequence[float]]]
"""[views][C][MATCH_SHARES]: `match_cosines` of a head, or nothing."""


class Inference(Protocol):
    """A model that computes vectors of photos or texts.

    Both calls raise EmbedderUnavailable, QueueFull, ModelNotReady, ModelFailed or DeadlinePassed.
    """

    @property
    def model(self) -> str:
        """The model's name."""

    async def describe(self) -> Description:
        """Ask the model for its description."""

    async def infer(self, inputs: Tensors) -> Inferred:
        """Embed `inputs`, of the n rows that each has; n is at most the model's max_batch.

        Photos are "image", uint8 RGB [n, side, side, 3], with "kind", float32 [n, 1] of Camera,
        where the model has `cameras`; texts are "input_ids" and "attention_mask", int64 [n, t];
        texts' vectors are "sentence", float32 [n, dimension].
        """


class Intake(Protocol):
    """Decoder of photo files."""

    def check(self, photo: bytes, camera: Camera) -> None:
        """Reject an obviously invalid photo. Raises PhotoUndecodable or PhotoTooLarge."""

    async def pixels(self, photo: bytes, camera: Camera, stages: Stages, catalog: str) -> int:
        """Return the pixels that a photo counts, by its header; see `see`."""

    async def see(
        self, photo: bytes, recipe: PhotoRecipe, look: PhotoView, stages: Stages, catalog: str
    ) -> PreparedPhoto:
        """Return a photo's pixels as a model takes them, decoded in the turn of the current caller
        and `catalog`.

        Raises PhotoUndecodable, PhotoTooLarge, and EmbedderUnavailable when no process can decode.
        """


class LineImages(Protocol):
    """Finder and straightener of lines of text in pixels; it blocks, so it is called in threads."""

    def found(self, chances: Vectors) -> list[Corners]:
        """Return the rectangles around lines, by the probability of a text at each pixel, float32
        [height, width]."""

    def cut(self, pixels: Pixels, lines: Sequence[Corners]) -> list[Pixels]:
        """Return lines of a photo, uint8 RGB [LINE_HEIGHT, width, 3]."""


class Encode(Protocol):
    """Tokenizer of texts."""

    async def encode(self, model: str, recipe: TextInput, texts: Sequence[str]) -> Tensors:
        """Return `input_ids` and `attention_mask`, int64 [n, t]; of a pair also those of the second
        network, with the prefix SECOND. Raises ModelNotReady."""


class Names(Protocol):
    """Categories, cosines of good matches and maps of fitted spaces."""

    async def categories(self, model: str) -> Sequence[tuple[str, ...]]:
        """Return the full paths of a model's categories, in the order of its output.

        Raises ClassifierUnavailable when they can't be read.
        """

    async def match_cosines(self, model: str) -> MatchCosines:
        """Return the cosines of good matches; empty if the fit measured none, or they can't be
        read."""

    async def fitted_map(self, model: str) -> tuple[str, FittedSpace]:
        """Return the backbone of a fitted space, and its map without the head.

        Raises HeatMapUnavailable when they can't be read.
        """


class Repository(Protocol):
    """Repository of the models."""

    async def loaded(self) -> Collection[str]:
        """Return the models that are served, or are being loaded.

        Raises EmbedderUnavailable, ModelNotReady, ModelFailed or DeadlinePassed.
        """


class Fetch(Protocol):
    """Fetches files by their addresses."""

    def fetched(self, uri: str) -> contextlib.AbstractAsyncContextManager[bytes]:
        """Provide the file, whose bytes are counted until the block ends.

        Raises a ServiceError: URI_FORBIDDEN or URI_UNREADABLE.
        """


class ModelControl(Protocol):
    """Loads and unloads models."""

    async def load(self, model: str) -> None:
        """Return once every server serves it. Raises ModelNotReady or EmbedderUnavailable."""

    async def unload(self, model: str) -> None:
        """Return once no request goes to the model any more.

        An unknown model is no error. Raises EmbedderUnavailable.
        """


class ModelsOnDemand(Protocol):
    """Models that are loaded when they are needed, and unloaded some time after their last use."""

    def loaded(self, name: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Load a model unless it is loaded, and keep it during the block.

        Raises ModelNotReady or EmbedderUnavailable.
        """

    def kept(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Keep a model during the block if it is loaded, without a call of the server."""


class ModelServer(ModelControl, Protocol):
    """The model server's control of models, and their states."""

    async def states(self) -> Mapping[str, str]:
        """Return the state of each model of its repositories: READY, LOADING, UNLOADING,
        UNAVAILABLE, or empty for one that was never loaded. Raises a ServiceError."""


class InferenceEngine(ModelServer, Repository, AbstractAsyncContextManager[Any], Protocol):
    """What runs the models, from the start of the block to its end: Triton, or processes of this
    service."""

    def inference(self, model: str) -> Inference:
        """Return a model; calls of a missing model fail."""


class SpaceRecord(Protocol):
    """Manifests of fitted spaces."""

    async def spaces(self, catalog: str) -> Sequence[tuple[SpaceManifest, ServingState]]:
        """Return a catalog's fitted spaces, the newest first; none while they can't be read."""


class FeatureSource(Protocol):
    """Computes features of photos, or vectors of another space for comparison."""

    @property
    def description(self) -> Description:
        """The model's description of itself."""

    async def features(self, photo: bytes) -> tuple[Floats, Pixels]:
        """Return float32 [views, f], and the pixels of the first view, uint8 [side, side, 3].

        Raises PhotoUndecodable or PhotoTooLarge of a bad photo; else EmbedderUnavailable, QueueFull
        or ModelFailed.
        """


class FeatureSources(Protocol):
    """Provides feature sources."""

    def backbone(
        self, name: str, catalog_id: str
    ) -> contextlib.AbstractAsyncContextManager[FeatureSource]:
        """Load a features model for the duration of the block, for photos of a catalog.

        Raises ModelNotReady, EmbedderUnavailable.
        """

    async def baseline(self, catalog_id: str) -> FeatureSource:
        """Return the space to compare with. Raises ModelNotReady, EmbedderUnavailable."""

    async def sentences(self, texts: Sequence[str], catalog_id: str) -> SentenceVectors:
        """Return the text model's unit vectors.

        Raises SpaceUnavailable when there is no text model; EmbedderUnavailable, QueueFull.
        """
