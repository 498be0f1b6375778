"""Comparison of record and index with the acknowledged writes, once the index has caught up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from pymilvus import MilvusException

from local_suite.suite import Suite
from retriever.domain.index_values import IndexRow
from retriever.record import Record
from tests.chaos.model import NotMeasured
from tests.chaos.retriever import bare
from tests.chaos.retriever.calls import Retriever
from tests.chaos.retriever.ledger import SPACE, Difference, Ledger, in_index, in_record, in_rows
from tests.chaos.stage import engine_uri, record_of

CATCH_UP_SECONDS = 120.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """Differences found after the writers have stopped."""

    record: Difference
    """Products in the record, against what was acknowledged."""
    vectors: Difference
    """Vectors in the record, of every generation."""
    index: Difference
    """Rows in the engine, when the retriever said that nothing is left to be indexed."""
    seconds: float
    """Seconds until the retriever reported that the index had caught up."""
    fixed: float
    """Seconds until the engine had exactly the record's rows."""
    products: int
    rows: int

    @property
    def lost(self) -> bool:
        """True if the record lacks an acknowledged write, or has a different value."""
        return bool(self.record or self.vectors)


async def compare(
    suite: Suite, retriever: Retriever, ledger: Ledger, versions: dict[str, int]
) -> Outcome:
    """Compare all three, content and all. `versions`: version → dimension of the generations.

    Raises NotMeasured when the index does not catch up or never becomes equal.
    """
    began = time.monotonic()
    until = began + CATCH_UP_SECONDS
    while await retriever.open_writes(SPACE):
        if time.monotonic() > until:
            raise NotMeasured(f"the index did not catch up within {CATCH_UP_SECONDS:.0f} s")
        await asyncio.sleep(_LOOK_SECONDS)
    seconds = time.monotonic() - began
    record = in_record(ledger, await retriever.listed())
    with record_of(suite) as opened:
        rows = await _expected(opened, retriever.catalog, ledger)
    lists = {of[0]: of[1] for of in rows.values()}
    vectors = [in_rows(ledger, lists[each], dimension) for each, dimension in versions.items()]
    first, fixed = await _index(suite, rows, until, began)
    return Outcome(
        record, next(filter(None, vectors), Difference()), first, seconds, fixed,
        products=len(ledger.live), rows=sum(map(len, lists.values())),
    )  # fmt: skip


async def _expected(
    record: Record, catalog: str, ledger: Ledger
) -> dict[str, tuple[str, list[IndexRow]]]:
    """Return the version and rows that the record expects in each collection."""
    found = {}
    for generation in await record.generations(catalog):
        names, rows = sorted(ledger.states), []
        for start in range(0, len(names), 200):
            rows += await record.rows(generation, names[start : start + 200])
        found[generation.collection] = (generation.space_version, rows)
    return found


async def _index(
    suite: Suite, rows: dict[str, tuple[str, list[IndexRow]]], until: float, began: float
) -> tuple[Difference, float]:
    """Return the first difference found, and the seconds until there is none."""
    first = None
    async with bare.client(engine_uri(suite)) as engine:
        while True:
            try:
                found = [
                    in_index(expected, await bare.rows(engine, collection))
                    for collection, (_, expected) in rows.items()
                ]
            except MilvusException as error:  # back from the dead, and not yet searchable
                found, why = [Difference(lost=("all",))], str(error)
            else:
                worst = next(filter(None, found), Difference())
                first, why = worst if first is None else first, str(worst)
                if not worst:
                    return first, time.monotonic() - began
            if time.monotonic() > until:
                raise NotMeasured(f"record and index do not become equal: {why[:200]}")
            await asyncio.sleep(_LOOK_SECONDS)
