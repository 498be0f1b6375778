"""Regions of a photo: the objects in it, each embedded as a photo of its own."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np

from embedder.domain import errors
from embedder.domain.facings import joined, like, middles_of, second_views, square_ones
from embedder.domain.items import Item, Priority, Vectors
from embedder.domain.models import VISUAL
from embedder.domain.objects import MAPS, FoundObject, are_small, boxed_objects, objects
from embedder.domain.photos import (
    PART_VIEWS,
    Box,
    Camera,
    PartView,
    PhotoView,
    Pixels,
    PreparedPhoto,
)
from embedder.domain.recipes import PhotoRecipe
from embedder.domain.urgency import asking
from embedder.embedding.call import EMBEDDED
from embedder.embedding.embed import ItemEmbedder
from embedder.embedding.fetched import photo_of
from embedder.embedding.on_demand import OnDemandModel, PhotoOutput
from embedder.embedding.photos import averaged, check_box
from embedder.serving.model import VersionedVectors
from embedder.serving.model_routes import VersionRoute
from servicekit.admission.fair_permits import Party
from servicekit.telemetry import Stages

MOST_PIXEL_BYTES: Final = 12 * 2**20
"""Bytes of views that one decoding returns, at most."""
MOST_GIVEN: Final = 64
"""Maximum number of given boxes."""


@dataclass(frozen=True, slots=True)
class EmbeddedRegions:
    """Regions of a photo with their vectors."""

    version: str
    """The space's version."""
    regions: Sequence[FoundObject]
    vectors: Vectors
    """float32 [regions, d], of unit length; without rows if no vectors were asked for."""
    views: int
    """Number of embedded views: one or two for each region, less for found ones that look alike."""
    truncated: bool
    """True if the photo shows more objects."""

    @property
    def small(self) -> bool:
        """True if the objects are so small that others were probably missed."""
        return are_small(self.regions)


class ObjectFinder(OnDemandModel):
    """Use case: find the objects in a photo. The model is loaded with the first photo."""

    async def find(
        self, item: Item, catalog: str, priority: Priority, stages: Stages
    ) -> list[FoundObject]:
        """Return the objects in an item's photo, highest score first, at most one more than
        MOST_OBJECTS. Raises as embedding a photo does, and ModelNotReady."""
        look = PhotoView(camera=item.camera)
        found = await self.output(item.photo or b"", look, catalog, priority, stages)
        with stages.measure("propose"):
            return await asyncio.to_thread(_objects, found)


@dataclass(frozen=True, slots=True)
class RegionCall:
    """One call: for whom, how urgent, and its timings."""

    catalog: str
    priority: Priority
    stages: Stages
    vectors: bool = True
    """False: the objects are found, but not embedded."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Boxes that were decoded together."""

    version: str
    vectors: Vectors
    """float32 [boxes, d]."""
    views: int


class RegionEmbedder:
    """Use case: embed the objects in a photo, or given parts of it."""

    def __init__(
        self,
        embedder: ItemEmbedder,
        finder: ObjectFinder,
        views: tuple[PartView, ...] = PART_VIEWS,
    ) -> None:
        """Embed each region in these views, whose mean is its vector."""
        self._embedder = embedder
        self._finder = finder
        self._views = views

    async def embed(
        self, item: Item, boxes: Sequence[Box], most: int, call: RegionCall
    ) -> EmbeddedRegions:
        """Embed the regions of an item's photo, or of the file at its address.

        `boxes`: given regions; without any, the objects are found. At most `most`, 1 to
        MOST_OBJECTS, are embedded. Raises BoxInvalid, ItemEmpty, and as embedding a photo does;
        ModelNotReady if no objects can be found.
        """
        if len(boxes) > MOST_GIVEN:
            raise errors.BoxInvalid(f"at most {MOST_GIVEN} boxes are allowed; got {len(boxes)}")
        for box in boxes:
            check_box(box)
        if item.uri is None:
            return await self._given(item, boxes, most, call)
        async with photo_of(None, item.uri, self._embedder.fetch, call.stages) as photo:
            return await self._given(replace(item, photo=photo, uri=None), boxes, most, call)

    async def _given(
        self, item: Item, boxes: Sequence[Box], most: int, call: RegionCall
    ) -> EmbeddedRegions:
        if item.photo is None:
            raise errors.ItemEmpty
        self._embedder.photos.check(item)
        route = await self._embedder.spaces.route(VISUAL, item.version, call.catalog)
        if boxes:
            found = [FoundObject(box, 1.0) for box in boxes]
        else:
            found = await self._finder.find(item, call.catalog, call.priority, call.stages)
        kept = found[:most]
        boxed = [each.box for each in kept] if call.vectors else []
        parts = _parts(boxed, route, len(self._views))
        with asking(call.priority):
            # One after another: all at once would fill the model's places.
            answers = [await self._part(item, part, route, call, merge=not boxes) for part in parts]
        EMBEDDED.labels(route.served.space, route.served.model).inc(len(boxed))
        version, vectors = _joined(answers, route)
        views = sum(each.views for each in answers)
        return EmbeddedRegions(version, kept, vectors, views, truncated=len(found) > most)

    async def _part(
        self,
        item: Item,
        boxes: Sequence[Box],
        route: VersionRoute,
        call: RegionCall,
        *,
        merge: bool,
    ) -> _Part:
        """Embed boxes that are decoded together. `merge`: they were found, so that those that look
        alike share a vector, and square ones have one view."""
        photos, recipe = self._embedder.photos, cast("PhotoRecipe", route.described.recipe)
        photo, stages = item.photo or b"", call.stages
        look = PhotoView(camera=item.camera, parts=tuple(boxes), part_views=self._views)
        party, queue = Party.of(call.catalog), photos.queues.of(route.served.model)
        async with queue.turn(call.priority, party, stages):
            seen = await photos.intake.see(photo, recipe, look, stages, call.catalog)
            views = _Views(seen, look, item.camera, route, stages)
            return await (views.of_found(recipe) if merge else views.of_each())


@dataclass(frozen=True, slots=True)
class _Views:
    """The views of boxes that were decoded together."""

    seen: PreparedPhoto
    look: PhotoView
    camera: Camera
    route: VersionRoute
    stages: Stages

    async def of_each(self) -> _Part:
        """Embed all views of each box."""
        answer = await self._inferred(range(len(self.seen.pixels)))
        views = answer.vectors.reshape(len(self.look.parts), len(self.look.part_views), -1)
        vectors = np.stack([averaged(each) for each in views])
        return _Part(answer.version, vectors, len(answer.vectors))

    async def of_found(self, recipe: PhotoRecipe) -> _Part:
        """Embed one view of each group of boxes that look alike, then a second one of each group
        whose first views agree, if it is not square."""
        boxes, count = self.look.parts, len(self.look.part_views)
        with self.stages.measure("compare"):
            first = await asyncio.to_thread(_alike, boxes, self.seen, self.look, recipe)
        ones = await self._inferred([count * place for place in dict.fromkeys(first)])
        shared = joined(boxes, first, ones.vectors)
        square = square_ones(boxes, self.seen.ratio)
        seconds = second_views(shared, square) if count > 1 else {}
        twos = dict[int, Vectors]()
        if seconds:
            answer = await self._inferred([count * place + 1 for place in seconds.values()])
            if answer.version != ones.version:
                raise errors.EmbedderUnavailable("the model was replaced during the call")
            twos = dict(zip(seconds, answer.vectors, strict=True))
        vectors = mean_vectors(first, shared, ones.vectors, twos)
        return _Part(ones.version, vectors, len(ones.vectors) + len(twos))

    async def _inferred(self, rows: Sequence[int]) -> VersionedVectors:
        inputs: dict[str, Any] = {"image": self.seen.pixels[[*rows]]}
        if self.route.described.cameras:
            inputs["kind"] = np.full((len(rows), 1), self.camera, np.float32)
        with self.stages.measure("infer"):
            return await self.route.embed(inputs)


def mean_vectors(
    first: Sequence[int], shared: Sequence[int], ones: Vectors, twos: Mapping[int, Vectors]
) -> Vectors:
    """Return the vector of each box, float32 [n, d] of unit length.

    `first`: of each box, the first that it looks like; `ones`: first views of these, in their
    order. `shared`: `first`, joined where these agree; `twos`: second views by such a place.
    """
    views = dict[int, list[Vectors]]()
    for place, one in zip(dict.fromkeys(first), ones, strict=True):
        views.setdefault(shared[place], []).append(one)
    made = {place: averaged(np.stack(some)) for place, some in views.items()}
    for place, two in twos.items():
        made[place] = averaged(np.stack([made[place], two]))
    return np.stack([made[place] for place in shared])


def _alike(
    boxes: Sequence[Box], seen: PreparedPhoto, look: PhotoView, recipe: PhotoRecipe
) -> list[int]:
    """Return for each box the place of the first box that it looks like, or its own."""
    return like(boxes, _middles(boxes, seen, look, recipe))


def _middles(
    boxes: Sequence[Box], seen: PreparedPhoto, look: PhotoView, recipe: PhotoRecipe
) -> Pixels:
    views = look.part_views
    if PartView.MIDDLE in views:
        return seen.pixels[views.index(PartView.MIDDLE) :: len(views)]
    return middles_of(seen.pixels, boxes, seen.ratio, recipe.crop)


def _parts(boxes: Sequence[Box], route: VersionRoute, views: int) -> list[Sequence[Box]]:
    """Return the boxes in parts that one decoding may return. Raises ModelNotReady."""
    recipe = route.described.recipe
    if not isinstance(recipe, PhotoRecipe):
        raise errors.ModelNotReady(f"{route.served.model} does not accept photos")
    most = max(1, MOST_PIXEL_BYTES // (views * recipe.side**2 * 3))
    return [boxes[start : start + most] for start in range(0, len(boxes), most)]


def _joined(answers: Sequence[_Part], route: VersionRoute) -> tuple[str, Vectors]:
    """Return the version and the vectors of all parts."""
    if not answers:
        served = next(iter(route.served.serving()), route.version)
        return served, np.zeros((0, route.described.dimension), np.float32)
    if len({each.version for each in answers}) > 1:
        raise errors.EmbedderUnavailable("the model was replaced during the call")
    return answers[0].version, np.concatenate([each.vectors for each in answers])


def _objects(found: PhotoOutput) -> list[FoundObject]:
    """Return the objects in a model's output, which has boxes or maps. Raises ModelFailed."""
    output, described = found.values, found.described
    if output.size != described.dimension or not np.isfinite(output).all():
        raise errors.ModelFailed("the model returned no objects")
    if described.boxes:
        return boxed_objects(output.reshape(-1, 5), found.ratio)
    side = int((described.dimension // MAPS) ** 0.5)
    return objects(output.reshape(MAPS, side, side), found.ratio)
