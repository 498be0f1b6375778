"""Embedding of photos: decoding, inference on all views, mean of the views' vectors."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedder.domain import errors
from embedder.domain.items import Classification, Embedding, Item, Priority, Vectors
from embedder.domain.models import Description
from embedder.domain.photos import (
    LEAST_BOX,
    MAX_VIEWS,
    WHOLE,
    Box,
    Camera,
    PhotoView,
    PreparedPhoto,
)
from embedder.domain.recipes import PhotoRecipe
from embedder.embedding.cache import EmbeddingCache, digest
from embedder.embedding.call import EMBEDDED, EmbedCall, side_by_side
from embedder.embedding.classify import classification
from embedder.ports import Intake, Names
from embedder.serving.model import VersionedVectors
from embedder.serving.model_routes import VersionRoute
from embedder.serving.priority import ModelQueues
from servicekit import deadlines
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class PhotoEmbedder:
    """Embeds photos."""

    intake: Intake
    queues: ModelQueues
    cache: EmbeddingCache
    names: Names

    def check(self, item: Item) -> None:
        """Reject an invalid item.

        Raises BoxInvalid, ViewsInvalid, PhotoUndecodable or PhotoTooLarge.
        """
        if not 0 <= item.views <= MAX_VIEWS:
            raise errors.ViewsInvalid(item.views)
        if item.box is not None:
            check_box(item.box)
        if item.photo is not None:
            self.intake.check(item.photo, item.camera)

    async def embed(self, items: Mapping[int, Item], route: VersionRoute, call: EmbedCall) -> None:
        """Embed photos concurrently; concurrent inferences are batched."""
        await side_by_side(self._one(place, item, route, call) for place, item in items.items())

    async def _one(self, place: int, item: Item, route: VersionRoute, call: EmbedCall) -> None:
        """Set the outcome of one photo, from the cache if possible."""
        look = look_of(item, route.described)
        try:
            if self.cache.on and call.priority is Priority.INTERACTIVE:
                # Not shared between catalogs: neither are the processes that decode.
                photo = await digest(item.photo or b"")
                key = (call.catalog, photo, look, item.guesses, route.key)
                made = await self.cache.get(
                    key, lambda: self._made(item, look, route, call), call.party
                )
            else:
                made = await self._made(item, look, route, call)
        except ServiceError as error:
            call.outcomes[place] = error
        else:
            call.outcomes[place] = made

    async def _made(
        self, item: Item, look: PhotoView, route: VersionRoute, call: EmbedCall
    ) -> Embedding:
        """Decode a photo, run the model on its views, and average their vectors."""
        recipe, model = route.described.recipe, route.served.model
        if not isinstance(recipe, PhotoRecipe):
            raise errors.ModelNotReady(f"{model} does not accept photos")
        queue = self.queues.of(model)
        with queue.place(call.priority, call.party, deadlines.remaining()):
            async with queue.running(call.priority, call.party, call.stages):
                answer = await self._inferred(item, recipe, look, route, call)
        EMBEDDED.labels(route.served.space, model).inc()
        return await self._embedding(item, answer, route)

    async def _inferred(
        self, item: Item, recipe: PhotoRecipe, look: PhotoView, route: VersionRoute, call: EmbedCall
    ) -> VersionedVectors:
        seen = await self._see(item.photo or b"", recipe, look, call)
        inputs: dict[str, Any] = {"image": seen.pixels}
        if route.described.cameras:
            inputs["kind"] = np.full((look.views, 1), item.camera, np.float32)
        with call.stages.measure("infer"):
            return await route.embed(inputs)

    async def _see(
        self, photo: bytes, recipe: PhotoRecipe, look: PhotoView, call: EmbedCall
    ) -> PreparedPhoto:
        """Decode a photo, once for all items of the call with the same photo and view."""
        if len(call.outcomes) == 1:  # nothing to share; hashing megabytes takes a millisecond
            return await self.intake.see(photo, recipe, look, call.stages, call.catalog)
        key = (photo, recipe, look)
        if key not in call.decoded:
            seeing = self.intake.see(*key, call.stages, call.catalog)
            call.decoded[key] = asyncio.create_task(seeing)
        return await call.decoded[key]

    async def _embedding(
        self, item: Item, answer: VersionedVectors, route: VersionRoute
    ) -> Embedding:
        named: Classification | None = None
        cosines: Sequence[float] = ()
        if answer.categories is not None:
            chances = answer.categories.mean(axis=0)
            if item.guesses:
                named = await self._classification(chances, item.guesses, answer.version, route)
            if item.camera is Camera.SHOPPER:
                cosines = await self._match_cosines(chances, len(answer.vectors), route)
        mean = averaged(answer.vectors)
        return Embedding(route.served.space, answer.version, mean, named, cosines)

    async def _match_cosines(
        self, chances: Vectors, views: int, route: VersionRoute
    ) -> Sequence[float]:
        """Return the cosines of good matches of the likeliest category; empty if not measured."""
        known = await self.names.match_cosines(route.served.model)
        if len(known) < views or len(known[views - 1]) != len(chances) - 1:
            return ()
        return known[views - 1][int(chances[:-1].argmax())]

    async def _classification(
        self, chances: Vectors, top_k: int, version: str, route: VersionRoute
    ) -> Classification | None:
        """Return the classification; None while the categories' names can't be read."""
        try:
            names = await self.names.categories(route.served.model)
        except errors.ClassifierUnavailable:
            return None
        if len(names) != len(chances) - 1:
            return None
        return classification(chances, names, top_k, version)


def look_of(item: Item, described: Description) -> PhotoView:
    """Return the view of an item's photo: number of views, box."""
    of_camera = {
        Camera.SHOPPER: described.shopper_views,
        Camera.CATALOGUE: described.catalog_views,
    }
    return PhotoView(
        views=item.views or of_camera[item.camera],
        box=item.box or WHOLE,
        camera=item.camera,
    )


def check_box(box: Box) -> None:
    """Raise BoxInvalid unless the box is a rectangle within the photo of at least LEAST_BOX per
    side."""
    sides = (box.left, box.top, box.right, box.bottom)
    if not all(math.isfinite(side) and 0 <= side <= 1 for side in sides):
        raise errors.BoxInvalid("the sides of a box must be fractions of the photo's sides, 0 to 1")
    if min(box.right - box.left, box.bottom - box.top) < LEAST_BOX:
        raise errors.BoxInvalid(
            f"a box must have left < right and top < bottom, and cover at least {LEAST_BOX:.0%} of"
            " each side"
        )


def averaged(vectors: Vectors) -> Vectors:
    """Return the mean of unit vectors [views, d], of unit length [d].

    Raises ModelFailed when they cancel each other out.
    """
    if len(vectors) == 1:
        return np.asarray(vectors[0], np.float32)
    mean = vectors.mean(axis=0)
    length = np.linalg.norm(mean)
    if length < 1e-6:
        raise errors.ModelFailed("the views of the photo have opposite vectors")
    return np.asarray(mean / length, np.float32)
