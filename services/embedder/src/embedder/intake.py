"""What comes in: who goes first, and how a photo from a stranger becomes pixels."""

import asyncio
import heapq
import itertools

import numpy as np

from embedder import preprocess
from embedder.model import (
    EmbedderUnavailable,
    PhotoTooLarge,
    PhotoUndecodable,
    Pixels,
    Priority,
    QueueFull,
    Recipe,
)
from servicekit.decoding import (
    Decoders,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingUnavailable,
)
from servicekit.telemetry import Stages
from sightline_rules import photos
from sightline_rules.photos import PhotoLimits, PhotoRejectedError, RejectionReason


class Gate:
    """Lets so many groups of items in at once; the interactive ones go first.

    One place is kept from bulk work, so that a shopper never waits for all of an import's groups.
    """

    def __init__(self, places: int, queue: int) -> None:
        """`places` groups at once, at least 2; at most `queue` of one priority wait."""
        if places < 2:
            raise ValueError("one place for bulk work and one for interactive work are needed")
        self._free = places
        self._queue = queue
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._turns = itertools.count()

    async def enter(self, priority: Priority) -> None:
        """Wait for a place, to be given back by `leave`. Raises QueueFull when too many wait."""
        alike = sum(other is priority and not turn.done() for other, _, turn in self._waiting)
        if alike >= self._queue and not self._may_enter(priority):
            raise QueueFull
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (priority, next(self._turns), turn)
        heapq.heappush(self._waiting, entry)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            elif entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def leave(self) -> None:
        """Give a place back."""
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            priority, _, turn = self._waiting[0]
            gave_up = turn.done()  # cancelled, but its task did not run yet to say so
            if not gave_up and not self._may_enter(priority):
                return
            heapq.heappop(self._waiting)
            if not gave_up:
                self._free -= 1
                turn.set_result(None)

    def _may_enter(self, priority: Priority) -> bool:
        return self._free > (0 if priority is Priority.INTERACTIVE else 1)


class PhotoIntake:
    """Decodes photos in processes that may die of them."""

    def __init__(self, decoders: Decoders, limits: PhotoLimits) -> None:
        self._decoders = decoders
        self._limits = limits

    def check(self, photo: bytes) -> None:
        """Refuse by size and first bytes. Raises PhotoUndecodable or PhotoTooLarge."""
        try:
            photos.check_size(photo, self._limits)
            photos.sniff(photo)
        except PhotoRejectedError as error:
            raise _translated(error) from error

    async def pixels(self, photo: bytes, recipe: Recipe, stages: Stages) -> Pixels:
        """Return uint8 RGB [side, side, 3], read-only.

        Raises PhotoUndecodable, PhotoTooLarge or EmbedderUnavailable.
        """
        with stages.measure("intake"):
            try:
                data, cropping = await self._decoders.run(
                    preprocess.pixels, photo, self._limits, recipe
                )
            except PhotoRejectedError as error:
                raise _translated(error) from error
            except DecodingUnavailable as error:
                raise EmbedderUnavailable("no photo can be decoded now") from error
            except DecodingOutOfMemory as error:
                raise PhotoTooLarge(f"the photo can't be decoded: {error}") from error
            except DecodingFailed as error:
                raise PhotoUndecodable(f"the photo can't be decoded: {error}") from error
        stages.record("preprocess", stages.elapsed - cropping, cropping)
        return np.frombuffer(data, np.uint8).reshape(recipe.side, recipe.side, 3)


def _translated(error: PhotoRejectedError) -> PhotoUndecodable | PhotoTooLarge:
    if error.reason is RejectionReason.TOO_LARGE:
        return PhotoTooLarge(str(error))
    return PhotoUndecodable(str(error))
