"""Circuit breaker for the engine's answers from a collection.

A call that fails is no proof that the engine is lost: its caller may have given it 20 ms. So a
failure only raises suspicion, and a probe beside the requests, a search for one row, decides. While
probes fail, searches fail over at once, without waiting for an engine that hangs. (Breakers of
libraries send a request to find out, which then waits in vain, and count failures however little
time a call was given.)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import TypeVar

import numpy as np
from prometheus_client import Gauge

from retriever.domain import errors
from retriever.domain.generation import Generation
from retriever.domain.product import MAX_PHOTOS
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from retriever.search.nearest import reach
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger
from sightline_rules.filters import All, Filter

PROBE_SECONDS = 1.0
"""Timeout of a probe, in seconds."""
PAUSE_SECONDS = 0.5
"""Seconds between two probes."""

WHOLE = 0.99
"""The share of its rows that makes a generation whole: some the engine may have refused."""

LOST = Gauge("sightline_index_lost", "Collections that the engine does not answer for now.")

GONE = (errors.CollectionAbsent, errors.CollectionReleased)
"""Errors of calls about a collection that the engine lost."""

log = get_logger()

T = TypeVar("T")


class CollectionBreaker:
    """Collections that the engine does not answer for, in one process."""

    def __init__(
        self,
        record: Record,
        index: VectorIndex,
        most: int = 0,
        *,
        patience: float = PROBE_SECONDS,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        """Create a breaker with no collection lost.

        `most`: a lost generation of at most so many rows counts as lost until the engine holds all
        of it, because an engine that lost its data answers before it is filled again.
        """
        self._record = record
        self._index = index
        self._most = most
        self._patience = patience
        self._pause = pause
        self._lost: set[str] = set()
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._answered: dict[str, float] = {}
        """When each collection's newest probe succeeded."""

    def lost(self, generation: Generation) -> bool:
        """Return whether the newest probe failed."""
        return generation.collection in self._lost

    def suspect(self, generation: Generation) -> None:
        """Start a probe, unless one is running or has just ended."""
        collection = generation.collection
        known = time.monotonic() - self._answered.get(collection, -self._pause) < self._pause
        if collection not in self._probing and not known:
            self._probing[collection] = asyncio.create_task(
                self._probe(generation), context=Context()
            )

    async def call(
        self, generation: Generation, seconds: float | None, ask: Callable[[], Awaitable[T]]
    ) -> T:
        """Return the engine's answer, within `seconds`. Raises IndexUnavailable."""
        if self.lost(generation):
            raise errors.IndexUnavailable
        try:
            async with asyncio.timeout(seconds):
                return await reach(generation, ask, self._index, self._record)
        except (errors.IndexUnavailable, TimeoutError) as error:
            self.suspect(generation)
            raise errors.IndexUnavailable from error

    async def found_nothing(self, generation: Generation, condition: Filter) -> None:
        """Check an empty result: an engine that lost its data finds nothing either, until it is
        filled again.

        Raises IndexUnavailable when all rows pass and there should be some.
        """
        if condition != All():
            self.suspect(generation)
        elif not await self._is_whole(generation):
            self._lost.add(generation.collection)
            self._answered.pop(generation.collection, None)
            self.suspect(generation)
            raise errors.IndexUnavailable

    async def _is_whole(self, generation: Generation) -> bool:
        """Return whether the collection holds all rows; one that is gone or released does not."""
        try:
            return await self._holds_all(generation)
        except GONE:
            return False

    async def _probe(self, generation: Generation) -> None:
        """Probe until the engine answers, or the generation is dropped."""
        begun, collection = time.monotonic(), generation.collection
        try:
            while not await self._answers(generation):
                if collection not in self._lost:
                    log.warning("index lost", collection=collection)
                self._lost.add(collection)
                LOST.set(len(self._lost))
                await asyncio.sleep(self._pause)
            if collection in self._lost:
                seconds = round(time.monotonic() - begun, 2)
                log.info("index found again", collection=collection, seconds=seconds)
            self._answered[collection] = time.monotonic()
        finally:
            self._lost.discard(collection)
            LOST.set(len(self._lost))
            del self._probing[collection]

    async def _answers(self, generation: Generation) -> bool:
        """Return whether the collection can be searched; a dropped one is no loss."""
        try:
            ask = partial(self._search, generation)
            shown = await reach(generation, ask, self._index, self._record)
            known = shown and not self.lost(generation)
            return known or await self._holds_all(generation)
        except errors.IndexRefused:
            return True
        except (ServiceError, TimeoutError, *GONE):
            with suppress(ServiceError):
                live = await self._record.generations(generation.catalog_id)
                return all(each.collection != generation.collection for each in live)
            return False

    async def _holds_all(self, generation: Generation) -> bool:
        """Return whether the engine holds the record's rows, except those on their way."""
        expected = await self._record.row_count(generation, self._most + 1)
        if expected > self._most:
            return True
        live = await self._record.generations(generation.catalog_id)
        now = next((each for each in live if each.name == generation.name), generation)
        coming = (await self._record.counts(now.catalog_id, now)).outbox * MAX_PHOTOS
        # Count as searches do: they may not find new rows yet.
        held = await self._index.count(generation.collection, latest=False)
        return held + coming >= WHOLE * expected

    async def _search(self, generation: Generation) -> bool:
        """Return whether a search finds a row within the patience of probes."""
        one = np.zeros(generation.dimension, dtype=np.float32)
        one[0] = 1.0
        collection, how = generation.collection, generation.parameters
        async with asyncio.timeout(self._patience):
            return bool(
                await self._index.search(
                    collection, [one], All(), 1, self._patience, parameters=how
                )
            )
