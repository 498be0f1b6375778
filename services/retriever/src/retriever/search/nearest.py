"""The rounds of a search: rows from the engine or the record, by its plan.

A plan is based on an estimate, so each round checks its result. If a graph search finds fewer rows
than requested, there may be more: the engine's ids of all passing rows are read, and if the search
missed some, these are compared one by one. An exact round that meets too many rows becomes a graph
search.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Protocol, TypeVar

import numpy as np

from retriever.domain.errors import CollectionAbsent, CollectionReleased, IndexUnavailable
from retriever.domain.filter_parts import MatchingRows
from retriever.domain.generation import Generation, IndexKind, VectorMetric
from retriever.domain.index_values import WHOLE, Hit, Slice, hit_order
from retriever.domain.vectors import Floats, exact_scores
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from retriever.search.planning import (
    MAX_LIMIT,
    MOST_MATCHES,
    FilterEstimate,
    Plan,
    Route,
    choose,
    estimate,
    graph,
)
from retriever.search.query import SearchQuery
from retriever.search.sampling import Samples
from sightline_rules.filters import All, Filter

OVERFETCH = 2
"""Rows requested for each wanted product: a product has several photos, and some are filtered
out."""

T = TypeVar("T")


class EngineCaller(Protocol):
    """Calls the engine, and handles an absent collection."""

    async def __call__(self, ask: Callable[[], Awaitable[T]], /) -> T: ...


@dataclass(frozen=True, slots=True)
class RoundResult:
    """Result of a round."""

    hits: list[Hit]
    """Best first."""
    complete: bool
    """True if further rounds would find nothing more."""
    matches: int | None = None
    """Number of rows compared one by one. `None` if the engine searched."""


@dataclass(slots=True)
class Nearest:
    """State of one search."""

    plan: Plan
    guess: FilterEstimate
    generation: Generation
    vectors: Sequence[Floats]
    condition: Filter
    latest: bool
    record: Record
    index: VectorIndex
    call: EngineCaller
    last: RoundResult = field(default_factory=lambda: RoundResult([], complete=True))
    """Result of the newest round."""

    async def look(self, limit: int, seconds: float | None) -> RoundResult:
        """Search for `limit` rows within `seconds`."""
        if self.plan.route is Route.EXACT:
            matches = await self._matching_rows(seconds)
            if matches is not None:
                self.last = await self._compare(matches)
                return self.last
            self.plan = graph(self.generation.parameters, self.guess, limit)
        if limit > self.plan.limit:
            self.plan = self.plan.deeper(limit)
        if self.plan.route is Route.SLICES:
            hits = await self._search_slices(limit, seconds)
        else:
            hits = await self._search(limit, seconds)
        self.last = RoundResult(hits, len(hits) < limit or limit >= MAX_LIMIT)
        if self.plan.route is not Route.FLAT and len(hits) < limit and self.condition != All():
            self.last = await self._make_up(hits, limit, seconds)
        return self.last

    async def _search_slices(self, limit: int, seconds: float | None) -> list[Hit]:
        """Return the best rows of all slices; one may hold all of them, so each is asked for
        `limit`."""
        slices = [Slice(number, self.plan.slices) for number in range(self.plan.slices)]
        found = await asyncio.gather(*(self._search(limit, seconds, each) for each in slices))
        return sorted(chain.from_iterable(found), key=hit_order)[: limit * len(self.vectors)]

    async def _search(self, limit: int, seconds: float | None, of: Slice = WHOLE) -> list[Hit]:
        parameters = self.generation.parameters
        if self.plan.route is not Route.FLAT:
            parameters = replace(parameters, ef=self.plan.ef)
        return await self.call(
            partial(
                self.index.search,
                self.generation.collection,
                self.vectors,
                self.condition,
                limit,
                seconds,
                latest=self.latest,
                parameters=parameters,
                of=of,
            )
        )

    async def _make_up(self, hits: list[Hit], limit: int, seconds: float | None) -> RoundResult:
        """Complete a short result of a graph search by comparing all rows that pass, if they are
        few."""
        row_ids = await self._ids(seconds)
        if row_ids is None:
            return RoundResult(hits, limit >= MAX_LIMIT)
        if len(row_ids) <= len(hits):
            return RoundResult(hits, complete=True)
        return await self._compare(await self.record.vectors_of_rows(self.generation, row_ids))

    async def _matching_rows(self, seconds: float | None) -> MatchingRows | None:
        """Return the rows that pass, or `None` if they are too many to compare."""
        if self.plan.narrowing is not None:
            found = await self.record.matching_rows(
                self.generation, self.condition, self.plan.narrowing, MOST_MATCHES
            )
            if found is not None:
                return found
        row_ids = await self._ids(seconds)
        if row_ids is None:
            return None
        return await self.record.vectors_of_rows(self.generation, row_ids)

    async def _ids(self, seconds: float | None) -> list[str] | None:
        ask = partial(
            self.index.matching_ids,
            self.generation.collection,
            self.condition,
            MOST_MATCHES,
            seconds,
            latest=self.latest,
        )
        return await self.call(ask)

    async def _compare(self, matches: MatchingRows) -> RoundResult:
        metric = self.generation.parameters.metric
        hits = await asyncio.to_thread(compare, matches, self.vectors, metric)
        return RoundResult(hits, complete=True, matches=len(matches.keys))


def compare(matches: MatchingRows, queries: Sequence[Floats], metric: VectorMetric) -> list[Hit]:
    """Return all rows as hits, each with its similarity to the nearest query, best first."""
    if not matches.keys:
        return []
    best = exact_scores(np.stack(queries), matches.vectors, metric).max(axis=0)
    if metric is VectorMetric.COSINE:
        best = np.clip(best, -1.0, 1.0)
    hits = [
        Hit(row_id, product_id, image_id, float(similarity))
        for (row_id, product_id, image_id), similarity in zip(matches.keys, best, strict=True)
    ]
    return sorted(hits, key=hit_order)


async def begin(
    query: SearchQuery,
    generation: Generation,
    head: int,
    *,
    vectors: Sequence[Floats],
    excluded: int,
    latest: bool,
    record: Record,
    index: VectorIndex,
    samples: Samples,
) -> Nearest:
    """Return the search with its plan, before its first round.

    `head`: the record's newest write.
    """
    guess, compares = FilterEstimate(0), False
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


async def reach(
    generation: Generation,
    ask: Callable[[], Awaitable[T]],
    index: VectorIndex,
    record: Record,
) -> T:
    """Return the engine's answer, after loading a collection that a restart left out of memory."""
    try:
        try:
            return await ask()
        except CollectionReleased:
            # After an engine's restart the worker has to compare index and record.
            await record.want_check(generation)
            await index.load(generation.collection)
            return await ask()
    except CollectionAbsent as error:
        await record.want_check(generation)
        raise IndexUnavailable from error
    except CollectionReleased as error:
        raise IndexUnavailable from error
