"""The one use case: items in, a vector or a reason for each out."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from prometheus_client import Counter

from embedder.intake import Gate
from embedder.model import (
    MAX_ITEMS,
    MAX_TEXT,
    BatchInvalid,
    DeadlinePassed,
    Description,
    Fetch,
    Intake,
    Item,
    ItemEmpty,
    Outcome,
    Pixels,
    Priority,
    QueueFull,
    Recipe,
    SpaceUnavailable,
    TextInvalid,
)
from embedder.space import TEXT, VISUAL, VisualSpace
from embedder.versions import VisualSpaces
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages

EMBEDDED = Counter(
    "sightline_embedded", "Items that got a vector, by the model that made it.", ("space", "model")
)


@dataclass(slots=True)
class _Call:
    """What the parts of one call share."""

    priority: Priority
    stages: Stages
    outcomes: dict[int, Outcome]
    decoded: dict[tuple[bytes, Recipe], asyncio.Task[Pixels]] = field(default_factory=dict)
    """Photos that are decoded, or are being so, by what is made of them."""

    def lose(self, places: Iterable[int], error: ServiceError) -> None:
        """Take down why these items have no vector."""
        self.outcomes.update(dict.fromkeys(places, error))


@dataclass(frozen=True, slots=True)
class _Route:
    """Where photos go."""

    version: str
    """The version that they ask for; empty = any."""
    space: VisualSpace
    model: Description


@dataclass(frozen=True, slots=True)
class Embedder:
    """What embedding needs."""

    visual: VisualSpaces
    intake: Intake
    fetch: Fetch
    gates: Mapping[str, Gate]
    """Who goes first, for each model: one that hangs holds up its own items only."""
    batch: int
    """Most photos in one inference, if the model takes as many."""

    async def embed(
        self, items: Sequence[Item], priority: Priority, stages: Stages, seconds: float | None
    ) -> list[Outcome]:
        """Return one outcome for each item, in order. A bad item never fails the rest.

        What is not done after `seconds` (None: no end) is DeadlinePassed. Raises BatchInvalid.
        """
        if not 1 <= len(items) <= MAX_ITEMS:
            raise BatchInvalid(len(items))
        call = _Call(priority, stages, {place: DeadlinePassed() for place in range(len(items))})
        photos: dict[str, dict[int, bytes]] = {}
        uris: dict[int, Item] = {}
        for place, item in enumerate(items):
            try:
                content = self._content(item)
            except ServiceError as error:
                call.outcomes[place] = error
            else:
                if isinstance(content, bytes):
                    photos.setdefault(item.version, {})[place] = content
                else:
                    uris[place] = item
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for version, group in photos.items():
                    tasks.create_task(self._photos(group, version, call))
                for place, item in uris.items():
                    tasks.create_task(self._fetched(place, item, call))
        except TimeoutError:
            pass  # What was done by then is in; the rest says why it is not.
        return [call.outcomes[place] for place in range(len(items))]

    def _content(self, item: Item) -> bytes | str:
        """Return an item's photo, or its address, if its space takes it; else raise why not."""
        if item.text is not None:
            if not 1 <= len(item.text) <= MAX_TEXT:
                raise TextInvalid(len(item.text))
            raise SpaceUnavailable(f"no space takes texts yet, so there is no {item.space or TEXT}")
        if item.photo is None and item.uri is None:
            raise ItemEmpty
        if item.space not in {"", VISUAL}:
            raise SpaceUnavailable(f"there is no such space for photos, only {VISUAL}")
        if item.photo is None:
            return item.uri or ""
        self.intake.check(item.photo)
        return item.photo

    async def _fetched(self, place: int, item: Item, call: _Call) -> None:
        """Embed a photo that has to be fetched first; nobody else waits for that."""
        try:
            await self.visual.of(item.version)
            with call.stages.measure("fetch"):
                photo = await self.fetch.fetch(item.uri or "")
            self.intake.check(photo)
        except ServiceError as error:
            call.outcomes[place] = error
        else:
            await self._photos({place: photo}, item.version, call)

    async def _photos(self, photos: Mapping[int, bytes], version: str, call: _Call) -> None:
        """Embed photos into one version, in groups side by side."""
        try:
            space = await self.visual.of(version)
            route = _Route(version, space, await space.description())
        except ServiceError as error:
            call.lose(photos, error)
            return
        async with asyncio.TaskGroup() as tasks:
            for group in batched(photos.items(), min(self.batch, route.model.max_batch)):
                tasks.create_task(self._in_turn(group, route, call))

    async def _in_turn(self, photos: Mapping[int, bytes], route: _Route, call: _Call) -> None:
        """Embed one group when its turn comes."""
        gate = self.gates[route.space.model]
        try:
            with call.stages.measure("queue"):
                await gate.enter(call.priority)
        except QueueFull as error:
            call.lose(photos, error)
            return
        try:
            await self._group(photos, route, call)
        finally:
            gate.leave()

    async def _group(self, photos: Mapping[int, bytes], route: _Route, call: _Call) -> None:
        """Embed one group in one inference."""
        pixels: dict[int, Pixels] = {}
        decoding = [self._pixels(photo, route.model.recipe, call) for photo in photos.values()]
        decoded = await asyncio.gather(*decoding, return_exceptions=True)
        for place, result in zip(photos, decoded, strict=True):
            if isinstance(result, ServiceError):
                call.outcomes[place] = result
            elif isinstance(result, BaseException):
                raise result
            else:
                pixels[place] = result
        if not pixels:
            return
        stacked = np.stack(list(pixels.values()))
        try:
            with call.stages.measure("infer"):
                embedded = await route.space.embed(stacked, route.model, route.version)
        except ServiceError as error:
            call.lose(pixels, error)
        else:
            call.outcomes.update(zip(pixels, embedded, strict=True))
            EMBEDDED.labels(VISUAL, route.space.model).inc(len(embedded))

    def _pixels(self, photo: bytes, recipe: Recipe, call: _Call) -> asyncio.Task[Pixels]:
        """Decode a photo, once for all the items of the call that are made of it alike."""
        key = (photo, recipe)
        if key not in call.decoded:
            decoding = self.intake.pixels(photo, recipe, call.stages)
            call.decoded[key] = asyncio.create_task(decoding)
        return call.decoded[key]


def batched(items: Iterable[tuple[int, bytes]], size: int) -> Iterator[dict[int, bytes]]:
    """Yield the items in groups of `size`; the last may be smaller."""
    rest = iter(items)
    while group := dict(islice(rest, size)):
        yield group
