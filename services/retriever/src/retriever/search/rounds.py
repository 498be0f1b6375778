"""A search by the engine before its first round: its estimate and its plan."""

from collections.abc import Sequence

from retriever.domain.generation import Generation, IndexKind
from retriever.domain.vectors import Floats
from retriever.ports.engine import VectorIndex
from retriever.ports.search import MatchRecord
from retriever.search.fallback.breaker import reach
from retriever.search.nearest import Nearest
from retriever.search.planning import Estimate, choose, estimate
from retriever.search.query import Query
from retriever.search.sampling import Samples

OVERFETCH = 2
"""Rows asked for, for each product wanted: a product has several photos, and some drop out."""


async def begin(
    query: Query,
    generation: Generation,
    head: int,
    *,
    vectors: Sequence[Floats],
    excluded: int,
    latest: bool,
    record: MatchRecord,
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
