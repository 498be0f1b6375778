"""A search: the products nearest to a vector or to a product, that pass a filter.

The engine finds rows (photos); the record says what their products are now. So price and
availability in an answer are exact at once, while a product that newly passes a filter appears
when the index has caught up.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from retriever.columns.keeper import Columns, View
from retriever.columns.table import Ints
from retriever.columns.vectors import Vectors
from retriever.domain.model import (
    Collapse,
    CollectionAbsent,
    CollectionReleased,
    Counts,
    Floats,
    Freshness,
    Generation,
    GenerationNotFound,
    GivenVector,
    IndexKind,
    IndexTokenInvalid,
    IndexUnavailable,
    ProductNotFound,
    SpaceUnavailable,
    StageDeadline,
    Standing,
    VectorInvalid,
    VectorWrite,
    VersionMismatch,
)
from retriever.domain.vectors import blended, check_vector
from retriever.ports.all import SearchRecord, SurvivorRecord, VectorIndex
from retriever.search import exact
from retriever.search.candidates import MAX_TOP_K, Candidates, first_of_each
from retriever.search.fallback.ladder import Descent, Ladder
from retriever.search.fallback.standin import Copy
from retriever.search.fallback.watch import Watch, reach
from retriever.search.nearest import Nearest
from retriever.search.planning import (
    MAX_LIMIT,
    Estimate,
    choose,
    estimate,
)
from retriever.search.sampling import Samples
from servicekit.errors import DeadlineExceeded, FieldViolation, ServiceError
from servicekit.requests import RequestInvalid
from sightline_rules.filters import All, Filter

DEFAULT_SPACE = "visual"
DEFAULT_TOP_K = 100
NO_COLLECTION = "none"
"""A name that no collection has."""

MAX_EXCLUDED = 1_000
MAX_VECTORS = 1_000
MAX_PARTS = 16
MAX_WEIGHT = 100.0
OVERFETCH = 2
"""Rows asked for, for each product wanted: a product has several photos, and some drop out."""
REFILL = 4
"""How many times more rows the next round asks for when products are missing."""
WAIT_STEP = 0.02
"""Seconds between two looks at the index while a search waits for a write."""

EVERYTHING = All()

Remaining = Callable[[], float | None]
"""Seconds until the caller needs its answer, or our failure; None = it set no end."""
Measure = Callable[[str], AbstractContextManager[None]]
"""Times a stage."""


@dataclass(frozen=True, slots=True)
class BlendPart:
    """A part of a blend. Exactly one of vector and product_id is given."""

    weight: float
    """−100 to 100, not 0; below 0 = away from it."""
    vector: GivenVector | None = None
    product_id: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for. Exactly one of vector, product_id and blend is given."""

    catalog_id: str
    vector: GivenVector | None = None
    product_id: str = ""
    blend: tuple[BlendPart, ...] | None = None
    space: str = DEFAULT_SPACE
    condition: Filter = EVERYTHING
    top_k: int = DEFAULT_TOP_K
    excluded: tuple[str, ...] = ()
    include_query_product: bool = False
    min_index_token: str = ""
    generation: str = ""
    collapse: Collapse = Collapse.DROP

    @property
    def product_ids(self) -> list[str]:
        """The products that are asked with."""
        parts = (part.product_id for part in self.blend or ())
        return [each for each in (self.product_id, *parts) if each]

    @property
    def given(self) -> list[tuple[str, GivenVector]]:
        """The vectors that are asked with, each with the path of its field."""
        if self.vector is not None:
            return [("vector", self.vector)]
        return [
            (f"blend.parts[{place}].vector", part.vector)
            for place, part in enumerate(self.blend or ())
            if part.vector is not None
        ]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found."""

    candidates: Candidates
    """Nearest first."""
    generation: Generation
    freshness: Freshness
    plan: str
    own: Sequence[int] = ()
    """Places in the columns of the query's products, where their near-duplicates were left out."""
    nearest: Nearest | None = None
    """How the rows were found, for the watchdog; None = not by the engine."""
    substitute: str = ""
    """What it rests on as the index is lost, for people; empty = on the index."""


async def search(
    query: Query,
    record: SearchRecord,
    index: VectorIndex,
    remaining: Remaining,
    measure: Measure = lambda _: contextlib.nullcontext(),
    *,
    columns: Columns | None = None,
    awaited: Collection[str] = (),
    samples: Samples | None = None,
    ladder: Ladder | None = None,
) -> Answer:
    """The nearest products. Errors are those that the proto names.

    `columns`: those of the process; None = they are read for this search, which the engine answers.
    `awaited`: spaces that have an index sooner or later; a search that is to see a write waits for
    it, as the write may be the catalog's first. `samples`: those of other
    searches; None = this one draws its own where it takes one. `ladder`: what answers when the
    engine is lost; None = nothing does.
    """
    check_query(query)
    columns = columns or Columns(record, exact_rows=0)
    standing = await resolve(query, record, remaining, awaited)
    held = await columns.vectors(standing.generation)
    if held is not None:
        freshness = standing.record
        if freshness.seq < wanted_write(query):
            freshness = await _recorded(query, standing, record, remaining)
            held = await columns.vectors(standing.generation)
    if held is not None:
        with measure("index"):
            return await _in_memory(query, standing.generation, freshness, *held)
    return await _by_engine(
        query,
        standing,
        record,
        index,
        remaining,
        measure=measure,
        columns=columns,
        samples=samples or Samples(),
        ladder=ladder,
    )


async def _in_memory(
    query: Query, generation: Generation, freshness: Freshness, view: View, vectors: Vectors
) -> Answer:
    """By comparing every vector here, where they are held; see exact.py."""
    seeds = {
        each: vectors.of(place)
        for each in query.product_ids
        if (place := view.table.place(each)) >= 0
    }
    own = _own(query, view)
    found = await exact.nearest(
        view,
        vectors,
        query_vectors(query, generation, seeds),
        query.condition,
        _left_out(query),
        top_k=query.top_k,
        collapse=query.collapse,
        own=own,
    )
    plan = f"in memory, {found.rows} {'row' if found.rows == 1 else 'rows'} compared"
    candidates = Candidates.of(found, query.top_k, query.collapse)
    return Answer(candidates, generation, freshness, plan, own.tolist())


async def _by_engine(
    query: Query,
    standing: Standing,
    record: SearchRecord,
    index: VectorIndex,
    remaining: Remaining,
    *,
    measure: Measure,
    columns: Columns,
    samples: Samples,
    ladder: Ladder | None,
) -> Answer:
    """By the engine along a plan, in rounds, and by the record where the engine is lost."""
    generation = standing.generation
    freshness, copy = await reached(query, standing, record, remaining, ladder)
    seeded = await columns.of(query.catalog_id, query.product_ids)
    seeds = {
        each: await record.product_vectors(generation, each)
        for each in dict.fromkeys(query.product_ids)
        if seeded.table.place(each) >= 0
    }
    queries, left_out = query_vectors(query, generation, seeds), _left_out(query)
    with measure("index"):
        nearest = await begin(
            query,
            generation,
            freshness.head,
            vectors=queries,
            excluded=len(left_out),
            latest=bool(query.min_index_token),
            record=record,
            index=index,
            samples=samples,
        )
    if ladder is not None:
        nearest.call = partial(ladder.call, generation, nearest.guess.rows, remaining)
    descent = Descent(nearest, wanted_write(query), ladder, copy, remaining)
    limit, rounds, rows = nearest.plan.limit, 0, 0
    view, own = seeded, _own(query, seeded)
    candidates = Candidates.none(view)
    while queries:
        with measure("index"):
            haul = await descent.look(limit)
        rounds, rows = rounds + 1, len(haul.hits)
        with measure("hydrate"):
            named = [*query.product_ids, *(hit.product_id for hit in haul.hits)]
            view = await columns.of(query.catalog_id, list(dict.fromkeys(named)))
            own = _own(query, view)
            ordered = await first_of_each(
                view,
                haul.hits,
                query,
                left_out,
                own,
                record=record,
                generation=generation,
            )
            candidates = Candidates.of(ordered, query.top_k, query.collapse)
        if candidates.group_count >= query.top_k or haul.complete:
            break
        limit = min(MAX_LIMIT, limit * REFILL)
    plan, copy = descent.words(rounds, rows), descent.copy
    if copy is None:
        return Answer(candidates, generation, freshness, plan, own.tolist(), nearest)
    fresh, rests_on = copy.freshness, copy.words
    return Answer(candidates, generation, fresh, plan, own.tolist(), substitute=rests_on)


def _left_out(query: Query) -> set[str]:
    """Products that are not to be found."""
    left_out = set(query.excluded)
    if not query.include_query_product:
        left_out.update(query.product_ids)
    return left_out


def _own(query: Query, view: View) -> Ints:
    """Places of the query's products, if their near-duplicates are to be left out."""
    if query.include_query_product or query.collapse is Collapse.OFF:
        return view.table.places([])
    places = view.table.places(list(dict.fromkeys(query.product_ids)))
    return places[places >= 0]


def check_query(query: Query) -> None:
    """Raises RequestInvalid."""
    wrong = []
    if (query.vector is not None) + bool(query.product_id) + (query.blend is not None) != 1:
        wrong.append(FieldViolation("query", "give a vector, a product_id or a blend"))
    if query.blend is not None:
        wrong += _blend_violations(query.blend)
    if not 1 <= query.top_k <= MAX_TOP_K:
        wrong.append(FieldViolation("top_k", f"must be from 1 to {MAX_TOP_K}, or 0"))
    if len(query.excluded) > MAX_EXCLUDED:
        wrong.append(FieldViolation("exclude_product_ids", f"takes at most {MAX_EXCLUDED} ids"))
    if wrong:
        raise RequestInvalid(*wrong)


def _blend_violations(parts: Sequence[BlendPart]) -> list[FieldViolation]:
    if not 1 <= len(parts) <= MAX_PARTS:
        told = f"has {len(parts)} entries; 1 to {MAX_PARTS} are taken"
        return [FieldViolation("blend.parts", told)]
    wrong = []
    for place, part in enumerate(parts):
        path = f"blend.parts[{place}]"
        if (part.vector is None) == (not part.product_id):
            wrong.append(FieldViolation(path, "give a vector or a product_id"))
        if not 0 < abs(part.weight) <= MAX_WEIGHT:  # NaN is neither
            told = f"must be from −{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, and not 0"
            wrong.append(FieldViolation(f"{path}.weight", told))
    if not wrong and not any(part.weight > 0 for part in parts):
        wrong.append(FieldViolation("blend.parts", "at least one needs a weight above 0"))
    return wrong


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


def query_vectors(
    query: Query, generation: Generation, seeds: Mapping[str, Sequence[Floats]]
) -> list[Floats]:
    """The vector given, those of the product's photos, or one blended of several (none = nothing is
    near yet).

    `seeds`: vectors of the query's products, those that the catalog holds. Raises ProductNotFound
    with the path of each other one.
    """
    if missing := {each for each in query.product_ids if each not in seeds}:
        parts = enumerate(query.blend or ())
        raise ProductNotFound(
            *(f"blend.parts[{place}].product_id" for place, p in parts if p.product_id in missing)
        )
    given = [check_vector(each, generation.dimension, path) for path, each in query.given]
    if query.blend is None:
        return [*given, *(each for vectors in seeds.values() for each in vectors)]
    unused = iter(given)
    parts_of = [
        (part.weight, seeds[part.product_id] if part.product_id else [next(unused)])
        for part in query.blend
    ]
    vector = blended(parts_of)
    return [] if vector is None else [vector]


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


async def _recorded(
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


# Rounds


async def begin(
    query: Query,
    generation: Generation,
    head: int,
    *,
    vectors: Sequence[Floats],
    excluded: int,
    latest: bool,
    record: SurvivorRecord,
    index: VectorIndex,
    samples: Samples,
) -> Nearest:
    """The search with its plan, before its first round. `head`: the record's newest write."""
    guess, compares = Estimate(0), False
    if generation.parameters.kind is not IndexKind.FLAT:
        sample = await samples.of(query.catalog_id, head, record)
        guess = estimate(query.condition, sample, generation.parameters.partitions)
        compares = await index.compares()
    plan = choose(
        generation.parameters,
        guess,
        query.top_k,
        excluded,
        OVERFETCH,
        compares=compares,
    )
    return Nearest(
        plan,
        guess,
        generation,
        vectors,
        query.condition,
        latest,
        record,
        index,
        lambda ask: reach(generation, ask, index, record),
    )


# Vectors and counts


async def upsert_vectors(
    catalog_id: str,
    given: Sequence[tuple[str, str, GivenVector]],
    record: SearchRecord,
) -> tuple[list[ServiceError | None], int]:
    """Store (product id, image id, vector), each with an outcome of its own; and the newest seq."""
    if not 1 <= len(given) <= MAX_VECTORS:
        raise RequestInvalid(
            FieldViolation("vectors", f"has {len(given)} entries; 1 to {MAX_VECTORS} are taken")
        )
    outcomes: list[ServiceError | None] = [None] * len(given)
    batches: dict[tuple[str, str], tuple[Generation, list[int], list[VectorWrite]]] = {}
    live = await record.generations(catalog_id)
    for position, (product_id, image_id, vector) in enumerate(given):
        try:
            generation = _holder(vector, live)
            values = check_vector(vector, generation.dimension, f"vectors[{position}].vector")
            if generation.of_products and image_id:
                path = f"vectors[{position}].image_id"
                raise VectorInvalid(path, "must be empty: this space has one vector a product")
        except ServiceError as error:
            outcomes[position] = error
            continue
        version = vector.space, vector.space_version
        _, positions, writes = batches.setdefault(version, (generation, [], []))
        positions.append(position)
        writes.append(VectorWrite(image_id, values, product_id))
    seq = 0
    for generation, positions, writes in batches.values():
        results, newest = await record.save_vectors(generation, writes)
        seq = max(seq, newest)
        for position, result in zip(positions, results, strict=True):
            outcomes[position] = result
    return outcomes, seq


def _holder(vector: GivenVector, live: Sequence[Generation]) -> Generation:
    """A generation of the vector's version: during a roll-out a space has two."""
    held = [each for each in live if each.space == vector.space]
    if not held:
        raise SpaceUnavailable(vector.space)
    for generation in held:
        if generation.space_version == vector.space_version:
            return generation
    active = next((each.space_version for each in held if each.active), "")
    raise VersionMismatch(vector.space_version, active)


@dataclass(frozen=True, slots=True)
class Census:
    """How much of a catalog is in a space's index."""

    counts: Counts
    indexed: int
    """Rows that the engine holds; −1 = it does not answer, or lost them all."""
    generation: Generation | None
    freshness: Freshness | None
    advice: str = ""
    """What to do as it has outgrown the way in which it is searched; empty = nothing."""


async def count(
    catalog_id: str,
    space: str,
    record: SearchRecord,
    index: VectorIndex,
    *,
    seconds: float | None = None,
    watch: Watch | None = None,
    columns: Columns | None = None,
) -> Census:
    """What record and engine hold. `seconds`: how long the engine may take, at most. `columns`: of
    searches; None = nothing is said of how they go."""
    standing = await record.standing(catalog_id, space)
    generation = None if standing is None else standing.generation
    counts = await record.counts(catalog_id, generation)
    lost = watch is not None and generation is not None and watch.lost(generation)
    indexed = -1 if lost else await _indexed(generation, record, index, seconds)
    advice = ""
    if generation is not None and columns is not None:
        # As the record has them: the index of a great import lags for a while.
        rows = counts.products if generation.of_products else counts.images
        if rows > columns.bound(generation) and not await index.compares():
            advice = _advice(generation, rows)
    freshness = None if standing is None else standing.freshness
    return Census(counts, indexed, generation, freshness, advice)


def _advice(generation: Generation, rows: int) -> str:
    return (
        f"{rows:,} rows of the space {generation.space} are searched by Milvus Lite, which goes "
        "through all of them each time: use the Milvus server (make up ENGINE=server, see "
        "docs/engines.md), or hold more in memory (RETRIEVER_EXACT_ROWS)"
    )


async def _indexed(
    generation: Generation | None,
    record: SearchRecord,
    index: VectorIndex,
    seconds: float | None,
) -> int:
    """Rows that the engine holds of a generation; −1 = it does not answer, or lost them all."""
    try:
        async with asyncio.timeout(seconds):
            if generation is not None:
                return await index.count(generation.collection)
            await index.state(NO_COLLECTION)  # nothing to count yet, but is the engine there?
    except (IndexUnavailable, TimeoutError):
        return -1
    except (CollectionAbsent, CollectionReleased):
        # One that is being made lacks nothing; one that should hold rows is lost.
        return -1 if generation and await record.row_count(generation, 1) else 0
    return 0
