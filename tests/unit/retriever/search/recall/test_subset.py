"""The exact check of a search, compared with all rows by brute force."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.domain.generation import (
    Generation,
    GenerationState,
    IndexKind,
    IndexParameters,
    VectorMetric,
)
from retriever.domain.index_values import Hit, IndexRow
from retriever.domain.recall import Look
from retriever.domain.vectors import Floats
from retriever.search.nearest import MatchingRows, Nearest, RoundResult, compare
from retriever.search.planning import FilterEstimate, Plan, Route
from retriever.search.recall import subset as module
from retriever.search.recall.subset import Seen, read_subset
from sightline_rules.facts import Facts, passes
from sightline_rules.filters import All, Comparison, Filter, Operator

RED = Comparison("brand", Operator.EQUAL, "red")
HNSW = IndexParameters(kind=IndexKind.HNSW)
MADE = Generation(
    "default", "g", "visual", "v", 8, "g1", GenerationState.READY, True, 0, 0, 0, False, HNSW
)  # fmt: skip


def row(number: int, vector: Floats, *, seq: int = 1) -> IndexRow:
    row_id = f"{number * 2654435761 % 2**32:08x}{number:024x}"
    facts = Facts(brand="red" if number % 3 == 0 else "blue")
    return IndexRow(row_id, seq, f"p{number}", "", facts, vector)


def rows_of(count: int, seed: int = 1) -> list[IndexRow]:
    vectors = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return [row(number, vector) for number, vector in enumerate(vectors)]


@dataclass
class Rows:
    """A record of some rows."""

    all: list[IndexRow]
    wanted: list[str] = field(default_factory=list)

    async def row_page(self, generation: Generation, after: str, limit: int) -> list[IndexRow]:
        behind = sorted((r for r in self.all if r.row_id > after), key=lambda r: r.row_id)
        return behind[:limit]

    async def rows(self, generation: Generation, product_ids: Sequence[str]) -> list[IndexRow]:
        return [r for r in self.all if r.product_id in set(product_ids)]

    async def want_check(self, generation: Generation) -> None:
        self.wanted.append(generation.name)


def searched(
    rows: Sequence[IndexRow],
    query: Floats,
    *,
    k: int = 10,
    condition: Filter = All(),  # noqa: B008 - a frozen value
    metric: VectorMetric = VectorMetric.COSINE,
) -> Seen:
    """Return a search that an engine answered which has exactly these rows."""
    kept = [r for r in rows if passes(condition, r.facts)]
    vectors = np.array([r.vector for r in kept], np.float32).reshape(len(kept), 8)
    keys = [(r.row_id, r.product_id, r.image_id) for r in kept]
    hits: list[Hit] = compare(MatchingRows(keys, vectors), [query], metric)[: 2 * k]
    generation = replace(MADE, parameters=replace(HNSW, metric=metric))
    plan = Plan(Route.GRAPH, 2 * k, 100)
    nearest = Nearest(
        plan, FilterEstimate(1_000), generation, [query], condition, False, None, None, None,  # type: ignore[arg-type]
        RoundResult(hits, complete=len(hits) < 2 * k),
    )  # fmt: skip
    return Seen(nearest, k, 1, 100.0)


async def looked(
    seen: Seen, record: Rows, *, size: int = 10_000, now: Rows | None = None
) -> tuple[Look, module.Subset]:
    subset = await read_subset(seen, "8" * 32, size, record, lambda: 0.0)
    return await module.compare(seen, subset, now or record, random.Random(1)), subset


@pytest.mark.slow
@given(
    lost=st.sets(st.integers(0, 299), max_size=150),
    seed=st.integers(0, 50),
    k=st.integers(1, 60),
    red=st.booleans(),
    metric=st.sampled_from(VectorMetric),
)
@settings(max_examples=60, deadline=None)
async def test_planted_misses_are_found_whatever_the_filter_and_the_metric(
    lost: set[int], seed: int, k: int, red: bool, metric: VectorMetric
) -> None:
    """Use the whole catalog as the subset, so that the estimate is the share within the last
    result's radius."""
    everything = rows_of(300, seed)
    held = [r for number, r in enumerate(everything) if number not in lost]
    query = np.random.default_rng(seed + 100).standard_normal(8).astype(np.float32)
    condition: Filter = RED if red else All()
    seen = searched(held, query, k=k, condition=condition, metric=metric)
    truth = searched(everything, query, k=300, condition=condition, metric=metric)
    answered = seen.nearest.last.hits
    least = answered[k - 1].similarity if len(answered) >= k else -np.inf
    module.MOST_CHECKED, before = 300, module.MOST_CHECKED
    try:
        look, _ = await looked(seen, Rows(everything))
    finally:
        module.MOST_CHECKED = before
    nearer, clearly = (
        {int(h.row_id[:15], 16) for h in truth.nearest.last.hits if h.similarity > least + slack}
        for slack in (0.0, 1e-3)
    )
    assert clearly <= set(look.expected) <= nearer
    found = {int(h.row_id[:15], 16) for h in answered}
    assert look.found == len(found & set(look.expected))


async def test_a_subset_of_the_rows_gives_the_recall_of_all() -> None:
    everything = rows_of(1_500)
    random_ = np.random.default_rng(9)
    held = [r for r in everything if random_.random() > 0.2]
    record = Rows(everything)
    subset = await read_subset(searched(held, held[0].vector), "8", 300, record, float)
    assert len(subset.row_ids) == 300
    found = expected = 0
    for _ in range(30):
        query = random_.standard_normal(8).astype(np.float32)
        seen = searched(held, query, k=100)
        look = await module.compare(seen, subset, record, random.Random(1))
        found, expected = found + look.found, expected + len(look.expected)
    assert expected > 500, "a fifth of the rows: about 25 of those that each search should find"
    assert found / expected == pytest.approx(0.8, abs=0.08)


async def test_the_rows_behind_an_id_are_taken_round_the_end() -> None:
    everything = rows_of(100)
    seen = searched(everything, everything[0].vector)
    subset = await read_subset(seen, "e" * 32, 30, Rows(everything), lambda: 5.0)
    ids = sorted(r.row_id for r in everything)
    behind = [i for i in ids if i > "e" * 32]
    assert list(subset.row_ids) == [*behind, *ids][:30]
    assert subset.read == 5.0
    assert len(set((await read_subset(seen, "e", 999, Rows(everything), float)).row_ids)) == 100


async def test_what_is_written_or_gone_meanwhile_is_no_miss() -> None:
    everything = rows_of(60)
    query = everything[0].vector
    held = [r for r in everything if r.row_id != everything[0].row_id]
    seen = searched(held, query, k=20)
    missed, _ = await looked(seen, Rows(everything))
    assert len(missed.expected) - missed.found == 1
    changed = [replace(everything[0], seq=7), *everything[1:]]
    for now in (Rows(changed), Rows(everything[1:])):
        look, _ = await looked(seen, Rows(everything), now=now)
        assert len(look.expected) == look.found == missed.found
    new = Rows(changed)  # not in the index by the time that the subset was read
    look, _ = await looked(seen, new)
    assert len(look.expected) == look.found


async def test_no_more_rows_are_read_again_than_is_fair() -> None:
    everything = rows_of(300)
    seen = searched(everything, everything[0].vector, k=200)
    look, _ = await looked(seen, Rows(everything))
    assert (len(look.expected), look.found) == (module.MOST_CHECKED, module.MOST_CHECKED)


async def test_large_vectors_make_a_small_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBSET_BYTES", 32 * 50)
    everything = rows_of(100)
    _, subset = await looked(searched(everything, everything[0].vector), Rows(everything))
    assert len(subset.row_ids) == 50


async def test_an_empty_generation_has_nothing_to_say() -> None:
    seen = searched([], np.ones(8, np.float32))
    look, subset = await looked(seen, Rows([]))
    assert look.expected == ()
    assert await module.passing_share(subset, RED) == 0.0


async def test_the_share_that_passes() -> None:
    everything = rows_of(600)
    _, subset = await looked(searched(everything, everything[0].vector), Rows(everything))
    assert await module.passing_share(subset, RED) == pytest.approx(1 / 3, abs=0.1)
