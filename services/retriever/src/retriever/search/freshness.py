"""Which generation is searched, and how fresh it is: searches can wait for a write."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Collection

from retriever.domain.errors import (
    GenerationNotFound,
    IndexTokenInvalid,
    SpaceUnavailable,
    StageDeadline,
    VectorInvalid,
    VersionMismatch,
)
from retriever.domain.generation import Freshness, Standing
from retriever.ports.search import SearchRecord
from retriever.search.fallback.chain import Ladder, Remaining
from retriever.search.fallback.from_record import Copy
from retriever.search.query import Query
from servicekit.errors import DeadlineExceeded

WAIT_STEP = 0.02
"""Seconds between two looks at the index while a search waits for a write."""


async def resolve(
    query: Query, record: SearchRecord, remaining: Remaining, awaited: Collection[str]
) -> Standing:
    """The generation to search: the one named, else the active one of the space."""
    space = query.vector.space if query.vector else query.space
    for path, vector in query.given:
        if vector.space != space:
            raise VectorInvalid(f"{path}.space", f"is {vector.space!r}; {space!r} is searched")
    standing = await record.standing(query.catalog_id, space, query.generation)
    if query.min_index_token and not query.generation and space in awaited:
        read_index_token(query.min_index_token, query.catalog_id)
        wait = Wait(remaining)
        while standing is None:
            await wait.pause()
            standing = await record.standing(query.catalog_id, space)
    if standing is None:
        raise GenerationNotFound if query.generation else SpaceUnavailable(space)
    held = standing.generation.space_version
    for _, vector in query.given:
        if vector.space_version != held:
            raise VersionMismatch(vector.space_version, held)
    return standing


# Waiting for a write


def write_index_token(catalog_id: str, seq: int) -> str:
    """An opaque mark of a catalog's commit."""
    return base64.urlsafe_b64encode(f"1:{catalog_id}:{seq}".encode()).decode().rstrip("=")


def read_index_token(token: str, catalog_id: str) -> int:
    """The commit that a token marks. Raises IndexTokenInvalid."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, catalog, seq = text.decode().split(":")
        if version == "1" and catalog == catalog_id and seq.isascii() and seq.isdecimal():
            return int(seq)
    except (binascii.Error, ValueError) as error:
        raise IndexTokenInvalid from error
    raise IndexTokenInvalid


class Wait:
    """Pauses between two looks at the index, until the time is up."""

    def __init__(self, remaining: Remaining) -> None:
        self._remaining = remaining

    async def pause(self) -> None:
        """Raises StageDeadline when there is no time left to look again."""
        left = self.left()
        if left is not None and left < 2 * WAIT_STEP:
            raise StageDeadline
        await asyncio.sleep(WAIT_STEP)

    def left(self) -> float | None:
        """Seconds until an answer has to be begun; None without end. Raises StageDeadline when a
        look took all there was: the write is what was waited for, whatever the clock says."""
        try:
            return self._remaining()
        except DeadlineExceeded:
            raise StageDeadline from None


def wanted_write(query: Query) -> int:
    """The commit that the caller wants to see; 0 = none. Raises IndexTokenInvalid."""
    if not query.min_index_token:
        return 0
    return read_index_token(query.min_index_token, query.catalog_id)


async def reached(
    query: Query,
    standing: Standing,
    record: SearchRecord,
    remaining: Remaining,
    ladder: Ladder | None = None,
) -> tuple[Freshness, Copy | None]:
    """How fresh the generation is, once it holds the write that the caller wants to see.

    With it what holds that write in its place, where the engine is lost and never gets it.
    """
    freshness, generation = standing.freshness, standing.generation
    wanted = wanted_write(query)
    if wanted > freshness.head:
        raise IndexTokenInvalid
    wait = Wait(remaining)
    while freshness.seq < wanted:
        if ladder is not None:
            copy = await ladder.meanwhile(generation, query.condition, wanted, wait.left())
            if copy is not None:
                return copy.freshness, copy
        await wait.pause()
        current = await record.standing(query.catalog_id, generation.space, generation.name)
        if current is None:
            raise GenerationNotFound
        freshness = current.freshness
    return freshness, None


async def recorded(
    query: Query, standing: Standing, record: SearchRecord, remaining: Remaining
) -> Freshness:
    """How fresh the record itself is, once it holds all vectors up to the write that the caller
    wants to see."""
    freshness, wanted = standing.record, wanted_write(query)
    if wanted > freshness.head:
        raise IndexTokenInvalid
    wait, generation = Wait(remaining), standing.generation
    while freshness.seq < wanted:
        await wait.pause()
        current = await record.standing(query.catalog_id, generation.space, generation.name)
        if current is None:
            raise GenerationNotFound
        freshness = current.record
    return freshness
