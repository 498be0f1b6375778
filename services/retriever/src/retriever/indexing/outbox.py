"""How the index follows the record: changes from the outbox, applied in order.

A step can die at any point: the record says afterwards what is left to do, and doing a step twice
leaves the same index. One process at a time runs them (`Leader`).
"""

from dataclasses import dataclass

from retriever.domain.generation import Generation
from retriever.indexing.writing import batches, delete_rows, upsert_rows
from retriever.ports.engine import VectorIndex
from retriever.ports.indexing import IndexRecord, Leader

APPLY_CHANGES = 500
"""Outbox entries of one step."""
READ_PRODUCTS = 256
"""Products whose rows are read at a time: 26 MB when each has 20 photos of 1,280 dimensions."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one step through the outbox did."""

    generation: Generation
    """As it is after that."""
    rows: int = 0
    """Rows written or deleted."""
    more: bool = False
    """Whether there may be more changes already."""


async def apply_outbox(
    generation: Generation, record: IndexRecord, index: VectorIndex, leader: Leader
) -> Applied:
    """Bring the oldest changes into the index.

    What is written is the record's present state, so entries may be applied twice and in one go.
    """
    changes = await record.changes(generation, APPLY_CHANGES)
    if not changes:
        return Applied(generation)
    removed: dict[str, set[str]] = {}
    for change in changes:
        removed.setdefault(change.product_id, set()).update(change.removed)
    written = 0
    # Some at a time: one photo may be every product's.
    for product_ids in batches(list(removed), READ_PRODUCTS):
        # Others are there already, as when another generation got a vector of the product.
        changed = await record.rows(generation, product_ids, after=generation.applied_seq)
        # What some change took away and no later one brought back.
        lost = [name for name in product_ids if removed[name]]
        left = {row.row_id for row in await record.rows(generation, lost)} if lost else set()
        gone = set().union(*map(removed.__getitem__, lost)) - left
        await delete_rows(generation, sorted(gone), index, leader)
        await upsert_rows(generation, changed, index, leader)
        written += len(changed) + len(gone)
    advanced = await record.advance(generation, changes[-1])
    return Applied(advanced, written, len(changes) >= APPLY_CHANGES)
