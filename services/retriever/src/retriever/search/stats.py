"""Coverage of a catalog by a space's index."""

import asyncio
from dataclasses import dataclass

from retriever.columns.column_cache import Columns
from retriever.domain.errors import CollectionAbsent, CollectionReleased, IndexUnavailable
from retriever.domain.generation import Counts, Freshness, Generation
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from retriever.search.fallback.collection_breaker import CollectionBreaker

NO_COLLECTION = "none"
"""Name of a collection that never exists."""


@dataclass(frozen=True, slots=True)
class Census:
    """Counts of a catalog and of what a space's index holds of it."""

    counts: Counts
    indexed: int
    """Rows that the engine holds; −1 if it does not answer, or lost them all."""
    generation: Generation | None
    freshness: Freshness | None
    advice: str = ""
    """Advice for an index too large for its search parameters. Empty without advice."""


async def count(
    catalog_id: str,
    space: str,
    record: Record,
    index: VectorIndex,
    *,
    seconds: float | None = None,
    breaker: CollectionBreaker | None = None,
    columns: Columns | None = None,
) -> Census:
    """Return the counts of record and engine. `seconds`: timeout of the engine. `columns`: those of
    searches; None: their state is not reported.
    """
    snapshot = await record.generation_snapshot(catalog_id, space)
    generation = None if snapshot is None else snapshot.generation
    counts = await record.counts(catalog_id, generation)
    lost = breaker is not None and generation is not None and breaker.lost(generation)
    indexed = -1 if lost else await _indexed(generation, record, index, seconds)
    advice = ""
    if generation is not None and columns is not None:
        # Counts of the record: the index lags behind large imports.
        rows = counts.products if generation.of_products else counts.images
        if rows > columns.bound(generation) and not await index.compares():
            advice = _advice(generation, rows)
    freshness = None if snapshot is None else snapshot.freshness
    return Census(counts, indexed, generation, freshness, advice)


def _advice(generation: Generation, rows: int) -> str:
    return (
        f"{rows:,} rows of the space {generation.space} are searched by Milvus Lite, which scans "
        "all of them each time: use the Milvus server (make up ENGINE=server, see "
        "docs/operate/engines.md), or hold more in memory (RETRIEVER_EXACT_ROWS)"
    )


async def _indexed(
    generation: Generation | None,
    record: Record,
    index: VectorIndex,
    seconds: float | None,
) -> int:
    """Return the number of a generation's rows in the engine; −1 if the engine does not answer, or
    lost them all."""
    try:
        async with asyncio.timeout(seconds):
            if generation is not None:
                return await index.count(generation.collection)
            await index.state(NO_COLLECTION)  # nothing to count: just probe
    except (IndexUnavailable, TimeoutError):
        return -1
    except (CollectionAbsent, CollectionReleased):
        # A missing collection is normal while it is being created; if it should hold rows, it is
        # lost.
        return -1 if generation and await record.row_count(generation, 1) else 0
    return 0
