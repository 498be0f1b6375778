"""The embedder's use cases around models in this process."""

import asyncio
from dataclasses import dataclass, field, replace

import numpy as np

from embedder.domain.errors import PhotoTooLarge, PhotoUndecodable
from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import TEXT, VISUAL
from embedder.domain.photos import Camera, PhotoView, PreparedPhoto
from embedder.domain.recipes import PhotoRecipe
from embedder.embedding.cache import EmbeddingCache
from embedder.embedding.embed import ItemEmbedder
from embedder.embedding.photos import PhotoEmbedder
from embedder.embedding.pixel_budget import PixelBudget
from embedder.embedding.texts import TextEmbedder
from embedder.ports import Encode, Fetch, Names
from embedder.serving.batched_inference import Batching
from embedder.serving.fitted_models import FittedModels
from embedder.serving.model import ServedModel
from embedder.serving.model_routes import ServedSpaces
from embedder.serving.priority import ModelQueues
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages
from tests.fakes.triton import DESCRIPTION, FakeEncoder, FakeFetch, FakeInference, FakeNames

OLD, NEW = "visual_" + "a" * 12, "visual_" + "b" * 12


def fitted(name: str, **changes: object) -> FakeInference:
    described = replace(
        DESCRIPTION, model=name, catalog="wine", cameras=True, hashes={"1": "f" + name[7] * 63}
    )
    return FakeInference(replace(described, **changes))  # type: ignore[arg-type]


@dataclass
class FakeRepository:
    """A repository of these models."""

    models: dict[str, FakeInference]
    failure: ServiceError | None = None
    read: int = 0
    now: float = 1000.0
    extra: set[str] = field(default_factory=set)
    """Names of models that have nothing to do with fitting."""

    async def loaded(self) -> set[str]:
        self.read += 1
        if self.failure is not None:
            raise self.failure
        return {*self.models, *self.extra}

    def serve(self, name: str, space: str) -> ServedModel:
        return ServedModel(self.models[name], 30, space, lambda: self.now)


def fitted_of(repository: FakeRepository) -> FittedModels:
    """Return the fitted models of the repository."""
    return FittedModels(repository, repository.serve, lambda: repository.now)


@dataclass
class FakeRecord:
    """Fake manifests of fitted spaces, as a test sets them."""

    fitted: list[tuple[SpaceManifest, ServingState]] = field(default_factory=list)

    async def spaces(self, catalog: str) -> list[tuple[SpaceManifest, ServingState]]:
        return [each for each in self.fitted if each[0].catalog_id == catalog]


class FakeIntake:
    """Fake intake: one byte is a photo of that brightness."""

    def __init__(self) -> None:
        self.decoded: list[tuple[bytes, int]] = []
        self.measured: list[bytes] = []
        """Photos whose headers were read: each byte is so many megapixels."""

    def check(self, photo: bytes, camera: Camera) -> None:
        if not photo:
            raise PhotoUndecodable("empty")
        if len(photo) > 10:
            raise PhotoTooLarge("large")

    async def pixels(self, photo: bytes, camera: Camera, stages: Stages, catalog: str) -> int:
        if photo == b"header":
            raise PhotoUndecodable("its header is damaged")
        self.measured.append(photo)
        return photo[0] * 1_000_000

    async def see(
        self, photo: bytes, recipe: PhotoRecipe, look: PhotoView, stages: Stages, catalog: str
    ) -> PreparedPhoto:
        self.decoded.append((photo, recipe.side))
        await asyncio.sleep(0)
        if photo == b"cut":
            raise PhotoUndecodable("cut off")
        if photo == b"bug":
            raise ZeroDivisionError
        pixels = np.full((look.views, recipe.side, recipe.side, 3), photo[0], np.uint8)
        pixels[:, 0, 0] = 255 - photo[0]
        for view in range(1, look.views):
            pixels[view, 0, view] = 255 - photo[0]
        return PreparedPhoto(pixels)


def embedder_of(
    *models: FakeInference,
    texts: tuple[FakeInference, ...] = (),
    fitted: FittedModels | None = None,
    batch: int = 4,
    places: int = 4,
    queue: int = 99,
    ahead: int = 99,
    cache_bytes: int = 0,
    fetch: Fetch | None = None,
    intake: FakeIntake | None = None,
    names: Names | None = None,
    encoder: Encode | None = None,
    most_pixels: int = 10**12,
) -> ItemEmbedder:
    """Put the use case together around these models of the space `visual`, and of `text`."""
    spaces = ServedSpaces(
        {
            VISUAL: [ServedModel(Batching(model, batch, places), 30) for model in models],
            TEXT: [ServedModel(Batching(model, batch, places), 30, TEXT) for model in texts],
        },
        fitted,
    )
    queues, intake = ModelQueues(queue, ahead), intake or FakeIntake()
    return ItemEmbedder(
        spaces,
        PhotoEmbedder(intake, queues, EmbeddingCache(cache_bytes), names or FakeNames()),
        TextEmbedder(spaces, queues, encoder or FakeEncoder(), batch),
        fetch or FakeFetch(),
        PixelBudget(intake, most_pixels),
    )
