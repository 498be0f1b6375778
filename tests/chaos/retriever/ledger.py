"""Acknowledged writes, and their differences from record and index."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.adapters.milvus.filters import columns
from retriever.domain.index_values import IndexRow
from sightline.common.v1 import product_pb2, vector_pb2

SPACE = "chaos"
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class State:
    """Last acknowledged state of a product."""

    title: str
    units: int
    """Its price in whole euros."""
    availability: int = product_pb2.AVAILABILITY_IN_STOCK
    vector: int = 0
    """Number of its vector, see `values`; 0 = it has none."""


@dataclass(slots=True)
class Ledger:
    """Every written product in its last acknowledged state; None: deleted."""

    states: dict[str, State | None] = field(default_factory=dict)

    @property
    def live(self) -> dict[str, State]:
        """Products that were not deleted."""
        return {name: state for name, state in self.states.items() if state is not None}

    def put(self, product_id: str, title: str, units: int) -> None:
        """Record a write of a whole product, which keeps its vector."""
        before = self.states.get(product_id)
        vector = before.vector if before is not None else 0
        self.states[product_id] = State(title, units, vector=vector)

    def change(self, product_id: str, **fields: Any) -> None:
        """Record a write of some of a product's fields."""
        state = self.states[product_id]
        assert state is not None, "a writer changes what is there"
        self.states[product_id] = replace(state, **fields)


@dataclass(frozen=True, slots=True)
class Difference:
    """Products or rows that differ from their acknowledged state."""

    lost: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    """There, with something else in them."""
    strange: tuple[str, ...] = ()
    """There, and never acknowledged or deleted since."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.stale or self.strange)

    def __str__(self) -> str:
        words = f"{len(self.lost)} lost, {len(self.stale)} stale, {len(self.strange)} strange"
        some = (*self.lost, *self.stale, *self.strange)[:3]
        return f"{words} ({', '.join(some)})" if some else words


def values(product_id: str, number: int, dimension: int) -> Floats:
    """Return the vector with this number of a product, equal in every process and run."""
    draw = np.random.default_rng(zlib.crc32(f"{product_id}/{number}/{dimension}".encode()))
    drawn = draw.standard_normal(dimension).astype(np.float32)
    return drawn / np.float32(np.linalg.norm(drawn))


def vector(version: str, given: Floats) -> vector_pb2.Vector:
    """Return a vector of the space as a message."""
    return vector_pb2.Vector(
        space=SPACE, space_version=version, dimension=len(given), data=given.tobytes()
    )


def in_record(ledger: Ledger, products: Iterable[product_pb2.Product]) -> Difference:
    """Return the difference between the record's products and the acknowledged writes."""
    there = {product.product_id: product for product in products}
    live = ledger.live
    stale = [
        name
        for name, state in live.items()
        if name in there
        and (there[name].title, there[name].price.units, there[name].availability)
        != (state.title, state.units, state.availability)
    ]
    return Difference(
        tuple(sorted(live.keys() - there.keys())),
        tuple(stale),
        tuple(sorted(there.keys() - live.keys())),
    )


def in_rows(ledger: Ledger, rows: Iterable[IndexRow], dimension: int) -> Difference:
    """Return the difference between the vectors that the record expects in an index and those
    acknowledged."""
    there = {row.product_id: row.vector for row in rows}
    live = {name: state.vector for name, state in ledger.live.items() if state.vector}
    stale = [
        name
        for name, number in live.items()
        if name in there and not np.allclose(there[name], values(name, number, dimension))
    ]
    return Difference(
        tuple(sorted(live.keys() - there.keys())),
        tuple(stale),
        tuple(sorted(there.keys() - live.keys())),
    )


def in_index(expected: Iterable[IndexRow], held: Mapping[str, Mapping[str, Any]]) -> Difference:
    """Return the difference between an engine's rows and those of the record, by id and in every
    column."""
    wanted = {row.row_id: row for row in expected}
    return Difference(
        tuple(sorted(wanted.keys() - held.keys())),
        tuple(name for name, row in wanted.items() if name in held and not _same(row, held[name])),
        tuple(sorted(held.keys() - wanted.keys())),
    )


def _same(row: IndexRow, held: Mapping[str, Any]) -> bool:
    wanted = {"seq": row.seq, "product_id": row.product_id, **columns(row.facts)}
    return all(held[name] == value for name, value in wanted.items()) and np.allclose(
        held["vector"], row.vector, rtol=0, atol=1e-6
    )
