"""An engine in memory, and the vectors that fakes make."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from retriever.adapters.milvus.filters import SLICES, slice_number
from retriever.domain.errors import (
    CollectionAbsent,
    CollectionReleased,
    IndexRefused,
    IndexUnavailable,
)
from retriever.domain.generation import EXACT, IndexParameters, VectorMetric
from retriever.domain.index_values import WHOLE, CollectionState, Hit, IndexRow, Slice
from retriever.domain.vectors import Floats
from sightline_rules.facts import passes
from sightline_rules.filters import Filter

DIMENSION = 8
VERSION = "v1-fake"


def vector_of(item: bytes | str, dimension: int = DIMENSION, version: str = VERSION) -> Floats:
    """Return a vector of unit length that depends only on the photo's bytes, or text, and the
    version."""
    salt = b"" if version == VERSION else version.encode()
    content = item.encode() if isinstance(item, str) else item
    seed = int.from_bytes(hashlib.sha256(salt + content).digest()[:8], "big")
    values = np.random.default_rng(seed).standard_normal(dimension)
    return np.asarray(values / np.linalg.norm(values), dtype=np.float32)


class Always:
    """A leader whose lease is never lost."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds

    def left(self) -> float:
        return self._seconds


class Never:
    """A leader whose lease ran out."""

    def left(self) -> float:
        return 0.0


@dataclass
class FakeIndex:
    """Engine in memory with switches for faults."""

    rows: dict[str, dict[str, IndexRow]] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    down: bool = False
    hung: bool = False
    """True if it accepts searches and counts and never answers them."""
    refused_products: set[str] = field(default_factory=set)
    """Products whose rows it takes for wrong."""
    scan_limit: int = 1_000_000
    broken: set[str] = field(default_factory=set)
    """Collections that it can't open."""
    scan_failures: int = 0
    """Number of scans that fail before one succeeds, without a fault of the engine."""
    upsert_seconds: float = 0.0
    """Seconds of a write."""
    upsert_sizes: list[int] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    """The limit of each search."""
    comparing: bool = False
    """True if it compares row by row where few rows match."""
    slices: list[Slice] = field(default_factory=list)
    """Slices requested by each search."""
    flushed: int = 0
    behind: bool = False
    """True if reads that do not require the latest state see no rows yet."""

    restarted: asyncio.Event = field(default_factory=asyncio.Event)

    def restart(self, lose: Sequence[str] = ()) -> None:
        """Forget what is loaded, and perhaps rows, as a killed engine does."""
        self.loaded.clear()
        self.restarted.set()
        for held in self.rows.values():
            for row_id in lose:
                held.pop(row_id, None)

    async def _hang(self) -> None:
        while self.hung:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def _rows(self, collection: str, needs_load: bool = False) -> dict[str, IndexRow]:
        if self.down:
            raise IndexUnavailable
        if collection not in self.rows:
            raise CollectionAbsent
        if needs_load and collection not in self.loaded:
            raise CollectionReleased
        return self.rows[collection]

    async def interrupted(self) -> None:
        await self.restarted.wait()
        self.restarted.clear()

    async def state(self, collection: str) -> CollectionState:
        if self.down:
            raise IndexUnavailable
        if collection not in self.rows:
            return CollectionState.ABSENT
        held = collection in self.loaded
        return CollectionState.LOADED if held else CollectionState.RELEASED

    async def create(
        self, collection: str, dimension: int, parameters: IndexParameters = EXACT
    ) -> None:
        if self.down:
            raise IndexUnavailable
        if any(name in collection for name in self.broken):
            raise IndexRefused
        self.rows.setdefault(collection, {})
        self.loaded.add(collection)

    async def load(self, collection: str) -> None:
        self._rows(collection)
        self.loaded.add(collection)

    async def upsert(
        self, collection: str, rows: Sequence[IndexRow], parameters: IndexParameters = EXACT
    ) -> None:
        held = self._rows(collection)
        if self.upsert_seconds:
            await asyncio.sleep(self.upsert_seconds)
        self.upsert_sizes.append(len(rows))
        if any(row.product_id in self.refused_products for row in rows):
            raise IndexRefused
        held.update({row.row_id: row for row in rows})

    async def delete(self, collection: str, row_ids: Sequence[str]) -> None:
        held = self._rows(collection)
        for row_id in row_ids:
            held.pop(row_id, None)

    async def scan(self, collection: str, low: str, high: str) -> dict[str, int] | None:
        held = self._rows(collection, needs_load=True)
        if self.scan_failures:
            self.scan_failures -= 1
            raise IndexRefused
        found = {row_id: row.seq for row_id, row in held.items() if low <= row_id < high}
        return None if len(found) >= self.scan_limit else found

    async def count(self, collection: str, *, latest: bool = True) -> int:
        await self._hang()
        held = self._rows(collection)
        return len(held) if latest or not self.behind else 0

    async def search(
        self,
        collection: str,
        vectors: Sequence[Floats],
        condition: Filter,
        limit: int,
        seconds: float | None,
        *,
        latest: bool = False,
        parameters: IndexParameters = EXACT,
        of: Slice = WHOLE,
    ) -> list[Hit]:
        assert parameters.metric is VectorMetric.COSINE
        await self._hang()
        held = self._rows(collection, needs_load=True)
        if self.behind and not latest:
            return []
        self.limits.append(limit)
        self.slices.append(of)
        best: dict[str, Hit] = {}
        for vector in vectors:
            found = [
                Hit(row.row_id, row.product_id, row.image_id, _cosine(vector, row.vector))
                for row in held.values()
                if passes(condition, row.facts)
                and slice_number(row.row_id) * of.count // SLICES == of.number
            ]
            found.sort(key=lambda hit: -hit.similarity)
            for hit in found[:limit]:
                if hit.row_id not in best or best[hit.row_id].similarity < hit.similarity:
                    best[hit.row_id] = hit
        return sorted(best.values(), key=lambda hit: -hit.similarity)

    async def compares(self) -> bool:
        return self.comparing

    async def flush_holds_up(self) -> bool:
        return self.comparing

    async def matching_ids(
        self,
        collection: str,
        condition: Filter,
        most: int,
        seconds: float | None,
        *,
        latest: bool = False,
    ) -> list[str] | None:
        held = self._rows(collection, needs_load=True)
        found = [row.row_id for row in held.values() if passes(condition, row.facts)]
        return None if len(found) > most else found

    async def flush(self, collection: str) -> None:
        self._rows(collection)
        self.flushed += 1

    async def drop(self, collection: str) -> None:
        if self.down:
            raise IndexUnavailable
        self.rows.pop(collection, None)
        self.loaded.discard(collection)


def _cosine(left: Floats, right: Floats) -> float:
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
