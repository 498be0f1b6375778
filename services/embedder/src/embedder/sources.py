"""What features and vectors to compare with are computed by, when a space is fitted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from embedder.embed import Embedder
from embedder.fitting.model import Floats
from embedder.learn import VIEWS, Sentences, Source
from embedder.model import (
    Description,
    Embedding,
    Intake,
    Item,
    Look,
    ModelNotReady,
    Pixels,
    Priority,
    Recipe,
    Repository,
)
from embedder.promote import ModelControl
from embedder.space import VISUAL, ServedModel
from embedder.turns import asking
from embedder.versions import Route
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages


class ModelSources:
    """The models of the server. See Sources in learn.py."""

    def __init__(
        self,
        embedder: Embedder,
        features: Callable[[str], ServedModel],
        *,
        repository: Repository,
        control: ModelControl,
    ) -> None:
        """`features`: returns the features model of a name."""
        self._embedder = embedder
        self._features = features
        self._repository = repository
        self._control = control

    @contextlib.asynccontextmanager
    async def backbone(self, name: str) -> AsyncIterator[Source]:
        """See Sources. What had to be loaded for this is unloaded afterwards."""
        loads = name not in await self._repository.loaded()
        if loads:
            await self._control.load(name)
        try:
            served = self._features(name)
            yield self._source(Route("", served, await served.description()), VIEWS)
        finally:
            if loads:
                with contextlib.suppress(ServiceError):
                    await self._control.unload(name)

    async def baseline(self, catalog_id: str) -> Source:
        """See Sources: what photos are embedded with when nobody says how."""
        return self._source(await self._embedder.spaces.route(VISUAL, "", catalog_id), 1)

    async def sentences(self, texts: Sequence[str], catalog_id: str) -> Sentences:
        """See Sources."""
        items = [Item(text=text) for text in texts]
        outcomes = await self._embedder.embed(items, catalog_id, Priority.BULK, Stages(), None)
        found = [each for each in outcomes if isinstance(each, Embedding)]
        for outcome in outcomes:
            if isinstance(outcome, ServiceError):
                raise outcome
        return Sentences(found[0].version, np.stack([each.values for each in found]))

    def _source(self, route: Route, views: int) -> Source:
        photos = self._embedder.photos
        return PhotoSource(route, photos.intake, views)


class PhotoSource:
    """A model that takes photos. See Source in learn.py."""

    def __init__(self, route: Route, intake: Intake, views: int) -> None:
        recipe = route.described.recipe
        if not isinstance(recipe, Recipe):
            raise ModelNotReady(f"{route.described.model} takes no photos")
        self._route, self._recipe = route, recipe
        self._intake = intake
        self._look = Look(views=views)

    @property
    def description(self) -> Description:
        """See Source."""
        return self._route.described

    async def features(self, photo: bytes) -> tuple[Floats, Pixels]:
        """See Source."""
        self._intake.check(photo)
        with asking(Priority.BULK):
            seen = await self._intake.see(photo, self._recipe, self._look, Stages())
            answer = await self._route.embed({"image": seen.pixels})
        return answer.vectors, seen.pixels[0]
