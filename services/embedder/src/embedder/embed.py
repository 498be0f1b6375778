"""The one use case: items in, a vector or a reason for each out."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

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
    SpaceUnavailable,
    TextInvalid,
)
from embedder.space import TEXT, VISUAL, VisualSpace
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages


@dataclass(frozen=True, slots=True)
class Embedder:
    """What embedding needs."""

    visual: VisualSpace
    intake: Intake
    fetch: Fetch
    gate: Gate
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
        outcomes: dict[int, Outcome] = {place: DeadlinePassed() for place in range(len(items))}
        photos: dict[int, bytes] = {}
        uris: dict[int, str] = {}
        for place, item in enumerate(items):
            try:
                content = self._content(item)
            except ServiceError as error:
                outcomes[place] = error
            else:
                if isinstance(content, bytes):
                    photos[place] = content
                else:
                    uris[place] = content
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                if photos:
                    tasks.create_task(self._photos(photos, priority, stages, outcomes))
                for place, uri in uris.items():
                    tasks.create_task(self._fetched(place, uri, priority, stages, outcomes))
        except TimeoutError:
            pass  # What was done by then is in; the rest says why it is not.
        return [outcomes[place] for place in range(len(items))]

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

    async def _fetched(
        self, place: int, uri: str, priority: Priority, stages: Stages, outcomes: dict[int, Outcome]
    ) -> None:
        """Embed a photo that has to be fetched first; nobody else waits for that."""
        try:
            with stages.measure("fetch"):
                photo = await self.fetch.fetch(uri)
            self.intake.check(photo)
        except ServiceError as error:
            outcomes[place] = error
        else:
            await self._photos({place: photo}, priority, stages, outcomes)

    async def _photos(
        self,
        photos: Mapping[int, bytes],
        priority: Priority,
        stages: Stages,
        outcomes: dict[int, Outcome],
    ) -> None:
        """Embed photos, in groups side by side."""
        try:
            model = await self.visual.description()
        except ServiceError as error:
            outcomes.update(dict.fromkeys(photos, error))
            return
        async with asyncio.TaskGroup() as tasks:
            for group in batched(photos.items(), min(self.batch, model.max_batch)):
                tasks.create_task(self._in_turn(group, model, priority, stages, outcomes))

    async def _in_turn(
        self,
        photos: Mapping[int, bytes],
        model: Description,
        priority: Priority,
        stages: Stages,
        outcomes: dict[int, Outcome],
    ) -> None:
        """Embed one group when its turn comes."""
        try:
            with stages.measure("queue"):
                await self.gate.enter(priority)
        except QueueFull as error:
            outcomes.update(dict.fromkeys(photos, error))
            return
        try:
            await self._group(photos, model, stages, outcomes)
        finally:
            self.gate.leave()

    async def _group(
        self,
        photos: Mapping[int, bytes],
        model: Description,
        stages: Stages,
        outcomes: dict[int, Outcome],
    ) -> None:
        """Embed one group in one inference."""
        pixels: dict[int, Pixels] = {}
        decoding = [self.intake.pixels(photo, model.recipe, stages) for photo in photos.values()]
        decoded = await asyncio.gather(*decoding, return_exceptions=True)
        for place, result in zip(photos, decoded, strict=True):
            if isinstance(result, ServiceError):
                outcomes[place] = result
            elif isinstance(result, BaseException):
                raise result
            else:
                pixels[place] = result
        if not pixels:
            return
        try:
            with stages.measure("infer"):
                embedded = await self.visual.embed(np.stack(list(pixels.values())), model)
        except ServiceError as error:
            outcomes.update(dict.fromkeys(pixels, error))
        else:
            outcomes.update(zip(pixels, embedded, strict=True))


def batched(items: Iterable[tuple[int, bytes]], size: int) -> Iterator[dict[int, bytes]]:
    """Yield the items in groups of `size`; the last may be smaller."""
    rest = iter(items)
    while group := dict(islice(rest, size)):
        yield group
