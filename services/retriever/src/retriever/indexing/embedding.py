"""Embedding of pending photos and texts, several calls at a time.

A step can die at any point: what has no vector in the record by then is pending still.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

from retriever.domain import errors
from retriever.domain.category_mismatch import CategoryPath, Classification
from retriever.domain.embedding import MAX_ATTEMPTS, Pending
from retriever.domain.generation import Generation
from retriever.domain.texts import digest_of
from retriever.domain.vectors import Floats, GivenVector, VectorWrite, check_vector
from retriever.ports.embedder import Embedder
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.errors import InvalidArgument, ServiceError
from servicekit.telemetry import get_logger

EMBED_BYTES = 16 * 2**20
"""Photos of one call to the embedder, well below gRPC's 32 MiB."""
SIDE_BY_SIDE = 2
"""Calls in flight of one version: while one is answered and stored, the model has the next."""
STEP_SECONDS = 10.0
"""Seconds of a step after which no further call begins: its items may have changed meanwhile."""
FIRST_RETRY = 1.0
LONGEST_RETRY = 300.0
"""Seconds."""
DOUBLINGS = 20
"""Limit on doublings of the wait: an outage may last through any number of attempts."""
RECENT = 4_096
"""Texts whose vectors are kept: 6 MB at 384 dimensions."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class Embedded:
    """Result of one step of embedding."""

    stored: int = 0
    failed: int = 0
    """Photos that are no longer retried, or retried later."""


class RecentVectors:
    """LRU cache of vectors of texts. Variants, and products whose titles are numbers, share their
    texts with many others.
    """

    def __init__(self, most: int = RECENT) -> None:
        self._most = most
        self._held: OrderedDict[tuple[str, str, str], Floats] = OrderedDict()

    def get(self, generation: Generation, text: str) -> Floats | None:
        """Return the vector of a text by the generation's version, if it is known."""
        key = _key(generation, text)
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def keep(self, generation: Generation, text: str, vector: Floats) -> None:
        """Cache a text's vector."""
        self._held[_key(generation, text)] = vector
        if len(self._held) > self._most:
            self._held.popitem(last=False)


def _key(generation: Generation, text: str) -> tuple[str, str, str]:
    return generation.space, generation.space_version, digest_of(text)


@dataclass(frozen=True, slots=True)
class EmbeddingTools:
    """Collaborators and parameters for embedding a version's photos or texts."""

    generation: Generation
    record: Record
    photos: Photos
    embedder: Embedder
    known: frozenset[CategoryPath]
    """The categories that the version's head knows."""
    recent: RecentVectors
    shopper_tags: frozenset[str]
    """Of products whose photos are shoppers' to the version."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A photo or a text, and the items pending for its vector."""

    content: bytes | str
    items: Sequence[Pending]
    """One photo, or the products that share a text."""


async def embed_pending(
    generation: Generation,
    record: Record,
    photos: Photos,
    embedder: Embedder,
    batch: int,
    *,
    calls: int = 1,
    known: frozenset[CategoryPath] = frozenset(),
    recent: RecentVectors | None = None,
    shopper_tags: frozenset[str] = frozenset(),
) -> Embedded:
    """Embed the photos, or the products' texts, that are due: up to `calls` of `batch` each.

    `known`: the categories that the version's head knows; photos that contradict those of
    their products are noted. `shopper_tags`: of products whose photos are shoppers' to the
    version; a photo that another product has too is a shopper's still.

    Raises EmbedderUnavailable when the embedder does not answer: these then wait and go one by one,
    so that one that brings the embedder down holds up no other. Raises VersionMismatch when the
    embedder's version is not the generation's any more: they stay pending.
    """
    deps = EmbeddingTools(
        generation, record, photos, embedder, known, recent or RecentVectors(), shopper_tags
    )
    due = _together(await record.due(generation, batch * calls))
    if generation.of_texts:
        return await _embed_texts(due, batch, deps)
    unused = [item.item_id for item in due if not item.used]
    if unused:
        await record.forget(generation, unused)
    parts = _parts([item for item in due if item.used], batch)
    return await _side_by_side(_embed_photos(part, deps) for part in islice(parts, calls))


def _together(due: Sequence[Pending]) -> list[Pending]:
    """Return the items of one step; an item that failed before goes alone."""
    if due and due[0].attempts:
        return [due[0]]
    return list(takewhile(lambda item: not item.attempts, due))


def _parts(items: Iterable[Pending], batch: int) -> Iterator[list[Pending]]:
    """Yield groups of items that fit one call."""
    part: list[Pending] = []
    size = 0
    for item in items:
        if part and (len(part) == batch or size + item.size > EMBED_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += item.size
    if part:
        yield part


async def _side_by_side(calls: Iterable[Coroutine[Any, Any, Embedded]]) -> Embedded:
    """Return the results of all calls that begin in time.

    A failure is raised after those in flight ended; no further one begins.
    """
    waiting, done = list(calls), list[Embedded]()
    waiting.reverse()
    until = time.monotonic() + STEP_SECONDS
    failures: list[Exception] = []

    async def take_turns() -> None:
        while waiting and not failures and time.monotonic() < until:
            try:
                done.append(await waiting.pop())
            except Exception as error:
                failures.append(error)

    try:
        await asyncio.gather(*(take_turns() for _ in range(min(SIDE_BY_SIDE, len(waiting)))))
    finally:
        for call in waiting:
            call.close()
    if failures:
        raise failures[0]
    return Embedded(sum(each.stored for each in done), sum(each.failed for each in done))


# Texts


async def _embed_texts(due: Sequence[Pending], batch: int, deps: EmbeddingTools) -> Embedded:
    """Embed the due texts, each once; products without a text are no longer pending."""
    generation, record = deps.generation, deps.record
    texts = await record.texts(generation, [item.item_id for item in due])
    blank = [item.item_id for item in due if not texts.get(item.item_id)]
    if blank:
        await record.drop_blank(generation, blank)
    alike: dict[str, list[Pending]] = {}
    for item in due:
        if text := texts.get(item.item_id):
            alike.setdefault(text, []).append(item)
    writes: list[VectorWrite] = []
    wanted: list[_Wanted] = []
    for text, items in alike.items():
        vector = deps.recent.get(generation, text)
        if vector is None:
            wanted.append(_Wanted(text, items))
        else:
            writes += _of_text(text, vector, items)
    if writes:
        await record.save_vectors(generation, writes)
    parts = (wanted[start : start + batch] for start in range(0, len(wanted), batch))
    done = await _side_by_side(_call(part, deps) for part in parts)
    return Embedded(done.stored + len(writes), done.failed)


def _of_text(text: str, vector: Floats, items: Iterable[Pending]) -> list[VectorWrite]:
    digest = digest_of(text)
    return [VectorWrite("", vector, item.item_id, digest) for item in items]


# Photos


async def _embed_photos(part: Sequence[Pending], deps: EmbeddingTools) -> Embedded:
    """Embed photos that fit one call; those that can't be read (any more, or now) fail.

    Raises PhotosUnavailable when none could be read; these photos then wait like all others.
    """
    generation, record = deps.generation, deps.record
    loaded: list[_Wanted] = []
    failed, unreachable = 0, None
    for item in part:
        try:
            data = await deps.photos.get(generation.catalog_id, item.item_id)
        except (errors.ImageNotFound, errors.ImageDamaged) as error:
            failed += 1
            log.warning("photo missing or damaged", image_id=item.item_id, reason=error.reason)
            await record.give_up(generation, [item.item_id], error.reason)
        except errors.PhotosUnavailable as error:
            failed, unreachable = failed + 1, error
            await _retry_later(generation, [item], record, error.reason)
        else:
            loaded.append(_Wanted(data, [item]))
    if unreachable is not None and not loaded:
        raise unreachable
    done = await _call(loaded, deps) if loaded else Embedded()
    return Embedded(done.stored, done.failed + failed)


# One call


async def _call(wanted: Sequence[_Wanted], deps: EmbeddingTools) -> Embedded:
    """Have photos or texts embedded, and store what came of it in one transaction."""
    generation, record = deps.generation, deps.record
    data = [each.content for each in wanted]
    try:
        results = await _embed(data, deps, await _shoppers(wanted, deps))
    except errors.EmbedderUnavailable:
        items = [item for each in wanted for item in each.items]
        await _retry_later(generation, items, record, "EMBEDDER_UNAVAILABLE")
        raise
    failed = 0
    writes: list[VectorWrite] = []
    classified: dict[str, Classification] = {}
    for each, result in zip(wanted, results, strict=True):
        if isinstance(result, ServiceError):
            failed += len(each.items)
            for item in each.items:
                await _note_failure(generation, item, result, record)
        elif isinstance(each.content, str):
            deps.recent.keep(generation, each.content, result.vector)
            writes += _of_text(each.content, result.vector, each.items)
        else:
            photo = each.items[0].item_id
            writes.append(VectorWrite(photo, result.vector))
            if result.classification is not None:
                classified[photo] = result.classification
    if classified:
        # Before the vectors are stored: afterwards the photos are not read again.
        await record.judge(generation, classified, deps.known)
    if writes:
        await record.save_vectors(generation, writes)
    return Embedded(len(writes), failed)


async def _shoppers(wanted: Sequence[_Wanted], deps: EmbeddingTools) -> frozenset[int]:
    """Return the places of the photos that shoppers took."""
    if not deps.shopper_tags or deps.generation.of_texts:
        return frozenset()
    photos = [each.items[0].item_id for each in wanted]
    tagged = await deps.record.tagged(deps.generation.catalog_id, photos, deps.shopper_tags)
    return frozenset(place for place, photo in enumerate(photos) if photo in tagged)


@dataclass(frozen=True, slots=True)
class Answered:
    """The embedder's result for a photo or text."""

    vector: Floats
    classification: Classification | None
    """The photo's category; None: the embedder returned none."""


async def _embed(
    data: Sequence[bytes | str], deps: EmbeddingTools, shoppers: Collection[int]
) -> list[Answered | ServiceError]:
    """Return a vector of the generation's version, or an error, for each photo or text."""
    generation = deps.generation
    try:
        given = await deps.embedder.embed(
            generation.catalog_id,
            generation.space,
            generation.space_version,
            data,
            classify=bool(deps.known),
            shoppers=shoppers,
        )
    except errors.EmbedderUnavailable:
        raise
    except ServiceError as error:
        return [error] * len(data)  # the call as a whole was refused
    if all(isinstance(result, errors.EmbedderUnavailable) for result in given):
        raise errors.EmbedderUnavailable
    checked = [_checked(generation, result) for result in given]
    for result in checked:
        if isinstance(result, errors.VersionMismatch):
            raise result
    return checked


def _checked(generation: Generation, result: GivenVector | ServiceError) -> Answered | ServiceError:
    if isinstance(result, ServiceError):
        return result
    if result.space_version != generation.space_version:
        return errors.VersionMismatch(result.space_version, generation.space_version)
    try:
        vector = check_vector(result, generation.dimension, "vector")
    except errors.VectorInvalid as error:
        return error
    return Answered(vector, result.classification)


async def _note_failure(
    generation: Generation, item: Pending, error: ServiceError, record: Record
) -> None:
    """Mark items that can't be embedded, or failed too often; retry the others later."""
    hopeless = isinstance(error, InvalidArgument) and not isinstance(error, errors.VectorInvalid)
    if hopeless or item.attempts + 1 >= MAX_ATTEMPTS:
        log.warning(
            "embedding failed, no further attempts",
            space=generation.space,
            item=item.item_id,
            reason=error.reason,
        )
        await record.give_up(generation, [item.item_id], error.reason)
    else:
        await _retry_later(generation, [item], record, error.reason)


async def _retry_later(
    generation: Generation, items: Iterable[Pending], record: Record, reason: str
) -> None:
    alike: dict[int, list[str]] = {}
    for item in items:
        alike.setdefault(item.attempts, []).append(item.item_id)
    for attempts, names in alike.items():
        seconds = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(attempts, DOUBLINGS))
        await record.postpone(generation, names, seconds, reason)
