"""Comparison of two photos, position by position."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from embedder.domain import errors
from embedder.domain.fitted import FittedSpace
from embedder.domain.heat import Heat, Positions, Projected, heat, project
from embedder.domain.items import Item, Priority
from embedder.domain.manifest import NAME
from embedder.domain.models import VISUAL, Description
from embedder.domain.photos import PART_VIEWS, PartView, PhotoView, Pixels
from embedder.domain.recipes import PhotoRecipe
from embedder.domain.urgency import urgency
from embedder.embedding.embed import ItemEmbedder
from embedder.embedding.fetched import photo_of
from embedder.embedding.photos import PhotoEmbedder, look_of
from embedder.ports import Inference, ModelsOnDemand
from embedder.serving.model_routes import VersionRoute
from servicekit.admission.fair_permits import Party
from servicekit.telemetry import Stages

ViewedItem: TypeAlias = tuple[Item, PhotoView]
"""A photo with the views that are compared."""
SUFFIX = "_positions"
"""Suffix of the model that returns a backbone's maps."""


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """One of two compared photos, with the contribution of its positions."""

    pixels: Pixels
    """uint8 RGB [views, side, side, 3], as the model takes them."""
    heat: Heat


@dataclass(frozen=True, slots=True)
class PhotoComparison:
    """The similarity of two photos, and its positions."""

    version: str
    similarity: float
    """Cosine, −1 to 1."""
    first: ComparedSide
    second: ComparedSide


@dataclass(frozen=True, slots=True)
class _Comparison:
    """State that the steps of one call share."""

    party: Party
    stages: Stages


@dataclass(frozen=True, slots=True)
class PhotoComparer:
    """Use case: compare two photos."""

    embedder: ItemEmbedder
    inference: Callable[[str], Inference]
    """Returns a model of the server by its name."""
    models: ModelsOnDemand
    region_views: tuple[PartView, ...] = PART_VIEWS
    """Views of an object, as RegionEmbedder has them."""
    _described: dict[str, Description] = field(default_factory=dict)
    """Descriptions of models by name, cached when they are loaded."""

    async def compare(
        self, first: Item, second: Item, catalog: str, stages: Stages, *, region: bool = False
    ) -> PhotoComparison:
        """Compare two photos in one version of the space, that of the first.

        `region`: the box of the first is an object in it, and is seen as RegionEmbedder sees it.
        Raises what embedding raises, and HeatMapUnavailable if the model's vectors are not averages
        over positions.
        """
        route = await self.embedder.spaces.route(VISUAL, first.version, catalog)
        backbone, space = await self._made_of(route.described)
        looks = (
            self._region(first) if region else look_of(first, route.described),
            look_of(second, route.described),
        )
        items, name = tuple(zip((first, second), looks, strict=True)), backbone + SUFFIX
        work = _Comparison(Party.of(catalog), stages)
        with self.models.kept(name):
            try:
                seen = await self._both(items, route, name, work)
            except errors.ModelAbsent:  # a check of its state would slow each call
                self._described.pop(name, None)
                seen = await self._once_loaded(items, route, name, work)
        views = [
            project(positions, space, item.camera)
            for (item, _), (_, positions) in zip(items, seen, strict=True)
        ]
        sides = [
            ComparedSide(pixels, heat(mine, other.vector, space, item.camera))
            for (item, _), (pixels, _), mine, other in zip(
                items, seen, views, reversed(views), strict=True
            )
        ]
        return PhotoComparison(_version(route), _cosine(*views), *sides)

    def _region(self, item: Item) -> PhotoView:
        """Return the view of an object. Raises BoxInvalid."""
        if item.box is None:
            raise errors.BoxInvalid("a region needs a box")
        return PhotoView(camera=item.camera, parts=(item.box,), part_views=self.region_views)

    async def _once_loaded(
        self, items: Sequence[ViewedItem], route: VersionRoute, name: str, work: _Comparison
    ) -> list[tuple[Pixels, Positions]]:
        try:
            async with self.models.loaded(name):
                return await self._both(items, route, name, work)
        except errors.ModelNotReady as error:
            raise errors.HeatMapUnavailable(
                f"Triton can't load {name}, which heat maps of {route.described.model} need"
            ) from error

    async def _both(
        self, items: Sequence[ViewedItem], route: VersionRoute, name: str, work: _Comparison
    ) -> list[tuple[Pixels, Positions]]:
        return await asyncio.gather(*(self._seen(item, route, name, work) for item in items))

    async def _made_of(self, described: Description) -> tuple[str, FittedSpace | None]:
        """Return the backbone of a space and, for a fitted space, its map."""
        names: PhotoEmbedder = self.embedder.photos
        if NAME.fullmatch(described.model):
            return await names.names.fitted_map(described.model)
        if not described.precision.startswith("fp32"):
            raise errors.HeatMapUnavailable(
                f"{described.model} computes in {described.precision}: "
                "heat maps need its fp32 variant"
            )
        return described.model, None

    async def _seen(
        self, viewed: ViewedItem, route: VersionRoute, name: str, work: _Comparison
    ) -> tuple[Pixels, Positions]:
        item, look = viewed
        photos, recipe = self.embedder.photos, route.described.recipe
        if not isinstance(recipe, PhotoRecipe):
            raise errors.ModelNotReady(f"{route.described.model} does not accept photos")
        if item.uri is not None:
            async with photo_of(None, item.uri, self.embedder.fetch, work.stages) as photo:
                fetched = replace(item, photo=photo, uri=None)
                return await self._seen((fetched, look), route, name, work)
        if item.photo is None:
            raise errors.ItemEmpty
        photos.check(item)
        priority = urgency.get() or Priority.INTERACTIVE
        queue = photos.queues.of(name)
        party, stages = work.party, work.stages
        async with queue.turn(priority, party, stages):
            seen = await photos.intake.see(item.photo, recipe, look, stages, party.catalog)
            return seen.pixels, await self._positions(name, seen.pixels, recipe, stages)

    async def _positions(
        self, name: str, pixels: Pixels, recipe: PhotoRecipe, stages: Stages
    ) -> Positions:
        """Return the model's maps of a photo's views."""
        model = self.inference(name)
        described = self._described.get(name) or await model.describe()
        self._described[name] = described
        if described.recipe != recipe:
            raise errors.HeatMapUnavailable(f"{name} accepts other photos than its space")
        with stages.measure("infer"):
            found = await model.infer({"image": pixels[: described.max_batch]})
        maps = dict(found.maps)
        sizes = {len(found.vectors), *map(len, maps.values())}
        finite = all(np.isfinite(each).all() for each in (found.vectors, *maps.values()))
        if sizes != {len(pixels)} or not maps or not finite:
            raise errors.ModelFailed(
                "the shape of the model's answer differs from its configuration"
            )
        return Positions(found.vectors, described.blocks, maps)


def _cosine(first: Projected, second: Projected) -> float:
    return float(np.dot(first.vector, second.vector))


def _version(route: VersionRoute) -> str:
    return next(iter(route.served.serving()), route.version)
