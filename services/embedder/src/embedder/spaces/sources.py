"""Sources of features, baseline vectors and title vectors for a fit."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextvars import Context

import numpy as np

from embedder.domain.errors import ModelNotReady
from embedder.domain.fits import SentenceVectors
from embedder.domain.fitted import Floats
from embedder.domain.items import Embedding, Item, Priority
from embedder.domain.models import VISUAL
from embedder.domain.photos import Camera, PhotoView, Pixels
from embedder.domain.recipes import PhotoRecipe
from embedder.domain.urgency import asking
from embedder.embedding.embed import ItemEmbedder
from embedder.ports import FeatureSource, Intake, ModelControl, Repository
from embedder.serving.model import ServedModel
from embedder.serving.model_routes import VersionRoute
from embedder.spaces.learn import VIEWS
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages

KEPT_SECONDS = 600.0
"""Seconds that a model stays loaded after its last use: the next often follows soon, and Triton
aborted after a Python model was loaded and unloaded four times in five seconds (boost's
lock_exception at the end of an instance, server 2.51, 2026-11)."""
CLOSE_SECONDS = 5.0


class ModelSources:
    """The models of the server. See ports.FeatureSources and ports.ModelsOnDemand."""

    def __init__(
        self,
        embedder: ItemEmbedder,
        features: Callable[[str], ServedModel],
        *,
        repository: Repository,
        control: ModelControl,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        """`features`: returns the features model of a name."""
        self._embedder = embedder
        self._features = features
        self._repository = repository
        self._control = control
        self._kept_seconds = kept_seconds
        self._ours: set[str] = set()
        self._users = Counter[str]()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()
        """Held while a model is loaded or unloaded, so that concurrent users load it once."""

    @contextlib.asynccontextmanager
    async def backbone(self, name: str, catalog_id: str) -> AsyncIterator[FeatureSource]:
        """Provide a features model; see ports.FeatureSources."""
        async with self.loaded(name):
            served = self._features(name)
            route = VersionRoute("", served, await served.description())
            yield self._source(route, VIEWS, catalog_id)

    @contextlib.asynccontextmanager
    async def loaded(self, name: str) -> AsyncIterator[None]:
        with self.kept(name):
            async with self._changing:
                if name not in await self._repository.loaded():
                    await self._control.load(name)
                    self._ours.add(name)
            yield

    @contextlib.contextmanager
    def kept(self, name: str) -> Iterator[None]:
        self._users[name] += 1
        if (leaving := self._leaving.pop(name, None)) is not None:
            leaving.cancel()
        try:
            yield
        finally:
            self._users[name] -= 1
            if name in self._ours and not self._users[name]:
                self._leaving[name] = asyncio.create_task(
                    self._unload_later(name), context=Context()
                )

    async def close(self) -> None:
        """Unload at once the models that were loaded on demand."""
        for leaving in self._leaving.values():
            leaving.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for name in sorted(self._ours):
                    await self._unload(name)

    async def _unload_later(self, name: str) -> None:
        await asyncio.sleep(self._kept_seconds)
        # Once begun it is not cancelled: a load that follows waits for it.
        await asyncio.shield(self._unload(name))

    async def _unload(self, name: str) -> None:
        async with self._changing:
            self._ours.discard(name)
            with contextlib.suppress(ServiceError):
                await self._control.unload(name)

    async def baseline(self, catalog_id: str) -> FeatureSource:
        """Return the default source of photos; see FeatureSources."""
        route = await self._embedder.spaces.route(VISUAL, "", catalog_id)
        return self._source(route, 1, catalog_id)

    async def sentences(self, texts: Sequence[str], catalog_id: str) -> SentenceVectors:
        items = [Item(text=text) for text in texts]
        outcomes = await self._embedder.embed(items, catalog_id, Priority.BULK, Stages(), None)
        found = [each for each in outcomes if isinstance(each, Embedding)]
        for outcome in outcomes:
            if isinstance(outcome, ServiceError):
                raise outcome
        return SentenceVectors(found[0].version, np.stack([each.values for each in found]))

    def _source(self, route: VersionRoute, views: int, catalog_id: str) -> FeatureSource:
        return PhotoSource(route, self._embedder.photos.intake, views, catalog_id)


class PhotoSource:
    """A model that takes photos. See ports.Source."""

    def __init__(self, route: VersionRoute, intake: Intake, views: int, catalog_id: str) -> None:
        recipe = route.described.recipe
        if not isinstance(recipe, PhotoRecipe):
            raise ModelNotReady(f"{route.described.model} does not accept photos")
        self.description = route.described
        self._route, self._recipe = route, recipe
        self._intake, self._catalog_id = intake, catalog_id
        self._look = PhotoView(views=views, camera=Camera.CATALOGUE)

    async def features(self, photo: bytes) -> tuple[Floats, Pixels]:
        self._intake.check(photo, self._look.camera)
        with asking(Priority.BULK):
            seen = await self._intake.see(
                photo, self._recipe, self._look, Stages(), self._catalog_id
            )
            answer = await self._route.embed({"image": seen.pixels})
        return answer.vectors, seen.pixels[0]
