"""A search for the products nearest to a vector or a product that pass a filter. The engine finds
rows (photos); the record supplies their current products. Price and availability in an answer are
therefore current, while a product that newly passes a filter appears once the index has caught up.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from functools import partial

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.column_cache import Columns, View
from retriever.columns.vectors import Vectors
from retriever.domain.generation import Freshness, Generation, GenerationSnapshot
from retriever.domain.index_values import Collapse
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from retriever.search import exact
from retriever.search.candidates import Candidates, first_of_each
from retriever.search.fallback.chain import FallbackChain, FallbackSearch, Remaining
from retriever.search.freshness import reached, recorded, resolve, wanted_write
from retriever.search.nearest import Nearest, begin
from retriever.search.planning import MAX_LIMIT
from retriever.search.query import SearchQuery, check_query, query_vectors
from retriever.search.sampling import Samples
from servicekit.errors import ServiceError
from sightline_rules.fast_dataclass import fast_dataclass

NOWHERE = np.zeros(0, np.int64)
REFILL = 4
"""Factor of rows that the next round asks for when products are missing."""
Measure = Callable[[str], AbstractContextManager[None]]
"""Times a stage."""


@fast_dataclass(frozen=True, slots=True)
class FoundNearest:
    """Result of a search."""

    candidates: Candidates
    """Nearest first."""
    generation: Generation
    freshness: Freshness
    plan: str
    own: Sequence[int] = ()
    """Places in the columns of the query's products, where their near-duplicates were left out."""
    nearest: Nearest | None = None
    """How the rows were found, for the watchdog. `None` if not by the engine."""
    substitute: str = ""
    """Description of the source used while the index is lost. Empty for the index."""


@fast_dataclass(frozen=True, slots=True)
class Searcher:
    """Collaborators of the searches of one process."""

    record: Record
    index: VectorIndex
    columns: Columns
    awaited: Collection[str] = ()
    """Spaces for which the worker creates an index; a search with a minimum index token waits for
    it, because the write may be the catalog's first."""
    samples: Samples = field(default_factory=Samples)
    fallback: FallbackChain | None = None
    """Fallback while the engine is lost, or `None`."""


async def search(
    query: SearchQuery,
    deps: Searcher,
    remaining: Remaining,
    measure: Measure = lambda _: contextlib.nullcontext(),
) -> FoundNearest:
    """Return the nearest products. Raises the errors that the proto names."""
    check_query(query)
    snapshot = await resolve(query, deps.record, remaining, deps.awaited)
    return await _search(query, snapshot, deps, remaining, measure)


async def search_each(
    queries: Sequence[SearchQuery],
    deps: Searcher,
    remaining: Remaining,
    measure: Measure,
) -> Sequence[FoundNearest | ServiceError]:
    """Return for each query what `search` returns, or the error that it raises. The queries differ
    by their blends of products alone. Raises errors of their space."""
    for query in queries:
        check_query(query)
    snapshot = await resolve(queries[0], deps.record, remaining, deps.awaited)

    async def found(query: SearchQuery) -> FoundNearest | ServiceError:
        try:
            return await _search(query, snapshot, deps, remaining, measure)
        except ServiceError as error:
            return error

    if await deps.columns.vectors(snapshot.generation) is None:
        return await asyncio.gather(*map(found, queries))  # the engine answers several at once
    return [await found(query) for query in queries]


async def _search(
    query: SearchQuery,
    snapshot: GenerationSnapshot,
    deps: Searcher,
    remaining: Remaining,
    measure: Measure,
) -> FoundNearest:
    held = await deps.columns.vectors(snapshot.generation)
    if held is not None:
        freshness = snapshot.record
        if freshness.seq < wanted_write(query):
            freshness = await recorded(query, snapshot, deps.record, remaining)
            held = await deps.columns.vectors(snapshot.generation)
    if held is not None:
        with measure("index"):
            return await _in_memory(query, snapshot.generation, freshness, *held)
    return await _by_engine(query, snapshot, deps, remaining, measure)


async def _in_memory(
    query: SearchQuery, generation: Generation, freshness: Freshness, view: View, vectors: Vectors
) -> FoundNearest:
    """Search by comparing every vector in memory, if they are held; see exact.py."""
    named, table = query.product_ids, view.table
    places = table.places(named)
    held = zip(named, places.tolist(), strict=True)
    seeds = {each: vectors.of(place) for each, place in held if place >= 0}
    own = _own(query, places)
    found = await exact.nearest(
        view,
        vectors,
        query_vectors(query, generation, seeds),
        query.condition,
        _left_out(query, named),
        top_k=query.top_k,
        collapse=query.collapse,
        own=own,
    )
    plan = f"in memory, {found.rows} {'row' if found.rows == 1 else 'rows'} compared"
    candidates = Candidates.of(found, query.top_k, query.collapse)
    return FoundNearest(candidates, generation, freshness, plan, own.tolist())


async def _by_engine(
    query: SearchQuery,
    snapshot: GenerationSnapshot,
    deps: Searcher,
    remaining: Remaining,
    measure: Measure,
) -> FoundNearest:
    """Search in the engine along a plan, in rounds, or in the record if the engine is lost."""
    generation, fallback = snapshot.generation, deps.fallback
    freshness, copy = await reached(query, snapshot, deps.record, remaining, fallback)
    named = query.product_ids
    view = await deps.columns.of(query.catalog_id, named)
    seeds = {
        each: await deps.record.product_vectors(generation, each)
        for each in named
        if view.table.place(each) >= 0
    }
    queries = query_vectors(query, generation, seeds)
    with measure("index"):
        nearest = await begin(
            query,
            generation,
            freshness.head,
            vectors=queries,
            excluded=len(_left_out(query, named)),
            latest=bool(query.min_index_token),
            record=deps.record,
            index=deps.index,
            samples=deps.samples,
        )
    if fallback is not None:
        nearest.call = partial(fallback.call, generation, nearest.guess.rows, remaining)
    attempt = FallbackSearch(nearest, wanted_write(query), fallback, copy, remaining)
    found = EngineFindings(Candidates.none(view), _own(query, view.table.places(named)))
    if queries:
        found = await _in_rounds(query, generation, deps, attempt, measure)
    plan, own, copy = attempt.words(found.rounds, found.rows), found.own.tolist(), attempt.copy
    if copy is None:
        return FoundNearest(found.candidates, generation, freshness, plan, own, nearest)
    return FoundNearest(
        found.candidates, generation, copy.freshness, plan, own, substitute=copy.words
    )


@fast_dataclass(frozen=True, slots=True)
class EngineFindings:
    """Result of the rounds of a search in the engine."""

    candidates: Candidates
    own: Ints
    """Places of the query's products, if their near-duplicates are left out."""
    rounds: int = 0
    rows: int = 0
    """Rows of the last round."""


async def _in_rounds(
    query: SearchQuery,
    generation: Generation,
    deps: Searcher,
    attempt: FallbackSearch,
    measure: Measure,
) -> EngineFindings:
    """Search for more rows, round by round, until there are enough products or no more rows."""
    limit, rounds, named = attempt.nearest.plan.limit, 0, query.product_ids
    left_out = _left_out(query, named)
    while True:
        with measure("index"):
            found = await attempt.look(limit)
        rounds += 1
        with measure("hydrate"):
            hits = [hit.product_id for hit in found.hits]
            view = await deps.columns.of(query.catalog_id, [*named, *hits])
            own = _own(query, view.table.places(named))
            ordered = await first_of_each(
                view,
                found.hits,
                query,
                left_out,
                own,
                record=deps.record,
                generation=generation,
            )
            candidates = Candidates.of(ordered, query.top_k, query.collapse)
        if candidates.group_count >= query.top_k or found.complete:
            return EngineFindings(candidates, own, rounds, len(found.hits))
        limit = min(MAX_LIMIT, limit * REFILL)


def _left_out(query: SearchQuery, named: Sequence[str]) -> set[str]:
    """Return the products to exclude. `named`: those of the query."""
    return {*query.excluded, *(() if query.include_query_product else named)}


def _own(query: SearchQuery, named: Ints) -> Ints:
    """Return places of the query's products, if their near-duplicates are to be left out. `named`:
    all of their places."""
    if query.include_query_product or query.collapse is Collapse.OFF:
        return NOWHERE
    return named[named >= 0]
