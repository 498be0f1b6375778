"""Choice of the generation to search, and its freshness: searches can wait for a write."""

import asyncio
import base64
import binascii
from collections.abc import Collection
from functools import lru_cache

from retriever.domain import errors
from retriever.domain.generation import Freshness, GenerationSnapshot
from retriever.record import Record
from retriever.search.fallback.chain import FallbackChain, Remaining
from retriever.search.fallback.from_record import RecordCopy
from retriever.search.query import SearchQuery
from servicekit.errors import DeadlineExceeded

WAIT_STEP = 0.02
"""Seconds between two reads of the index's state while a search waits for a write."""


async def resolve(
    query: SearchQuery, record: Record, remaining: Remaining, awaited: Collection[str]
) -> GenerationSnapshot:
    """Return the generation to search: the one named, else the active one of the space."""
    space, given = query.vector.space if query.vector else query.space, query.given
    for path, vector in given:
        if vector.space != space:
            raise errors.VectorInvalid.at(
                f"{path}.space", f"is {vector.space!r}; {space!r} is searched"
            )
    snapshot = await record.generation_snapshot(query.catalog_id, space, query.generation)
    if query.min_index_token and not query.generation and space in awaited:
        read_index_token(query.min_index_token, query.catalog_id)
        wait = Wait(remaining)
        while snapshot is None:
            await wait.pause()
            snapshot = await record.generation_snapshot(query.catalog_id, space)
    if snapshot is None:
        raise errors.GenerationNotFound if query.generation else errors.SpaceUnavailable(space)
    held = snapshot.generation.space_version
    for _, vector in given:
        if vector.space_version != held:
            raise errors.VersionMismatch(vector.space_version, held)
    return snapshot


# Waiting for a write


@lru_cache(256)
def write_index_token(catalog_id: str, seq: int) -> str:
    """Return an opaque token of a catalog's commit."""
    return base64.urlsafe_b64encode(f"1:{catalog_id}:{seq}".encode()).decode().rstrip("=")


def read_index_token(token: str, catalog_id: str) -> int:
    """Return the commit in a token. Raises IndexTokenInvalid."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, catalog, seq = text.decode().split(":")
        if version == "1" and catalog == catalog_id and seq.isascii() and seq.isdecimal():
            return int(seq)
    except (binascii.Error, ValueError) as error:
        raise errors.IndexTokenInvalid from error
    raise errors.IndexTokenInvalid


class Wait:
    """Pauses between reads of the index's state, until the timeout."""

    def __init__(self, remaining: Remaining) -> None:
        self._remaining = remaining

    async def pause(self) -> None:
        """Wait before the next read. Raise StageDeadline if the remaining time is too short."""
        left = self.left()
        if left is not None and left < 2 * WAIT_STEP:
            raise errors.StageDeadline
        await asyncio.sleep(WAIT_STEP)

    def left(self) -> float | None:
        """Return the seconds until an answer has to begin; None without a deadline.

        Raises StageDeadline when a look used up the time: the call waited for the write.
        """
        try:
            return self._remaining()
        except DeadlineExceeded:
            raise errors.StageDeadline from None


def wanted_write(query: SearchQuery) -> int:
    """Return the commit that the caller wants to see; 0: none. Raise IndexTokenInvalid."""
    if not query.min_index_token:
        return 0
    return read_index_token(query.min_index_token, query.catalog_id)


async def reached(
    query: SearchQuery,
    snapshot: GenerationSnapshot,
    record: Record,
    remaining: Remaining,
    fallback: FallbackChain | None = None,
) -> tuple[Freshness, RecordCopy | None]:
    """Return the freshness of the generation, once it holds the write that the caller wants to see,
    and the fallback that holds it if the engine is lost."""
    wanted, wait = wanted_write(query), Wait(remaining)
    while not _holds(snapshot.freshness, wanted):
        if fallback is not None:
            generation, left = snapshot.generation, wait.left()
            copy = await fallback.meanwhile(generation, query.condition, wanted, left)
            if copy is not None:
                return copy.freshness, copy
        snapshot = await _next(snapshot, record, wait)
    return snapshot.freshness, None


async def recorded(
    query: SearchQuery, snapshot: GenerationSnapshot, record: Record, remaining: Remaining
) -> Freshness:
    """Return the freshness of the record, once it holds all vectors up to the write that the caller
    wants to see."""
    wanted, wait = wanted_write(query), Wait(remaining)
    while not _holds(snapshot.record, wanted):
        snapshot = await _next(snapshot, record, wait)
    return snapshot.record


def _holds(freshness: Freshness, wanted: int) -> bool:
    """Return whether a write is held. Raises IndexTokenInvalid if there was no such write."""
    if wanted > freshness.head:
        raise errors.IndexTokenInvalid
    return freshness.seq >= wanted


async def _next(snapshot: GenerationSnapshot, record: Record, wait: Wait) -> GenerationSnapshot:
    """Return the generation after a pause. Raises StageDeadline, GenerationNotFound."""
    await wait.pause()
    made = snapshot.generation
    found = await record.generation_snapshot(made.catalog_id, made.space, made.name)
    if found is None:
        raise errors.GenerationNotFound
    return found
