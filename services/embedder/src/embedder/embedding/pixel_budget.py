"""Budget of the pixels of one request's photos, known from their headers before any is decoded."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from embedder.domain.errors import PhotosTooLarge
from embedder.domain.items import Item
from embedder.domain.photos import Camera
from embedder.embedding.call import EmbedCall
from embedder.ports import Intake
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """Limit of the pixels of a request's photos; those of the catalog do not count."""

    intake: Intake
    most: int

    async def take(self, photos: Mapping[int, Item], call: EmbedCall) -> set[int]:
        """Count the pixels of the given photos. Return the places of those that must not be
        decoded, whose outcomes say why.

        If the photos exceed the rest of the budget, none of them may be decoded. The header of a
        request's only photo is not read: that photo has a limit of its own.
        """
        photos = {place: item for place, item in photos.items() if counts(item)}
        if not photos or call.photos < 2:
            return set()
        distinct = list({item.photo or b"": item for item in photos.values()}.values())
        found = await asyncio.gather(*(self._pixels(item, call) for item in distinct))
        pixels = {item.photo: each for item, each in zip(distinct, found, strict=True)}
        refused = set()
        for place, item in photos.items():
            if isinstance(counted := pixels[item.photo], ServiceError):
                call.outcomes[place] = counted
                refused.add(place)
            else:
                call.pixels += counted
        if call.pixels <= self.most:
            return refused
        call.lose(photos.keys() - refused, PhotosTooLarge(call.pixels, self.most))
        return {*photos}

    async def _pixels(self, item: Item, call: EmbedCall) -> int | ServiceError:
        try:
            photo = item.photo or b""
            return await self.intake.pixels(photo, item.camera, call.stages, call.catalog)
        except ServiceError as error:
            return error


def counts(item: Item) -> bool:
    """Return whether an item is a photo of a shopper, or its address."""
    return item.text is None and item.camera is Camera.SHOPPER
