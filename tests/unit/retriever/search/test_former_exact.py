"""Searches in memory find what those of release 0.35 found, while products are written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.columns import near_rows, unique_pictures, vectors
from retriever.columns.column_cache import View
from retriever.columns.vectors import Vectors
from retriever.domain.column_rows import PhotoRow
from retriever.domain.generation import VectorMetric
from retriever.domain.index_values import Collapse
from retriever.domain.vectors import Floats
from retriever.search import collapse, exact
from retriever.search.candidates import Candidates
from sightline_rules.duplicates import CERTAIN, COLOUR_BITS
from sightline_rules.facts import Facts
from tests.fakes.index import DIMENSION
from tests.unit.retriever.rows import row_of
from tests.unit.retriever.search import former_exact
from tests.unit.retriever.search.exact_reference import CONDITIONS, HASHES, columns_of, shop_of

OTHERS = tuple(
    (number + 1) * 0x9E37_79B9_7F4A_7C15 % (1 << 64) ^ bits << COLOUR_BITS
    for number in range(6)
    for bits in (0, 1, (1 << (CERTAIN + 2)) - 1)
)
"""Hashes of pictures that one or a few products show."""


ASKED = 3
"""Number of different queries, so that most are asked again."""


def answers(
    view: View, rows: Vectors, seed: int, mode: Collapse, top_k: int
) -> Iterator[Candidates]:
    """Yield what a random search finds, now and as it was found before."""
    random = np.random.default_rng(seed)
    count = len(view.table.ids)
    some = random.permutation(count)[: random.integers(3)] if count else np.zeros(0, np.int64)
    own = np.zeros(0, np.int64) if mode is Collapse.OFF else some
    named = random.permutation(count)[: random.choice([0, 2, 12])].tolist()
    left_out = {view.table.ids[place] for place in [*some.tolist(), *named]}
    again = np.random.default_rng(seed % ASKED)
    queries = [
        again.standard_normal(DIMENSION).astype(np.float32) for _ in range(again.integers(1, 3))
    ]
    condition = CONDITIONS[random.integers(len(CONDITIONS))]
    for nearest in (exact.nearest, former_exact.nearest):
        asked = nearest(
            *(view, rows, queries, condition, left_out), top_k=top_k, collapse=mode, own=own
        )
        yield Candidates.of(asyncio.run(asked), top_k, mode)


def change(view: View, rows: Vectors, seed: int) -> None:
    """Write, move or remove a random product, with or without another photo."""
    random = np.random.default_rng(seed)
    table = view.table
    name = f"p{random.integers(60)}"
    place = table.place(name)
    if random.random() < 0.2 and place >= 0:
        rows.remove(place)
        table.remove([name])
        return
    image_hash = int(random.choice([*HASHES, *OTHERS]))
    parent = f"q{random.integers(3)}" if random.random() < 0.3 else ""
    facts = Facts(brand=f"b{random.integers(3)}")
    table.put([row_of(name, facts, parent_id=parent, image_hash=image_hash)])
    place = table.place(name)
    if random.random() < 0.5:
        held = range(int(random.integers(1, 3)))
        keys = [PhotoRow(f"{name}/{n}", name, f"i{n}", n, seed) for n in held]
        fresh: dict[str, Floats] = {
            key.row_id: random.standard_normal(DIMENSION).astype(np.float32) for key in keys
        }
        rows.put(place, keys, fresh)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    count=st.sampled_from([0, 1, 12, 60]),
    parents=st.sampled_from([0, 0, 3]),
    photos=st.sampled_from([1, 3]),
    spread=st.sampled_from([0.05, 1.0]),
    mode=st.sampled_from(list(Collapse)),
    top_k=st.sampled_from([1, 3, 10, 100]),
    pairs=st.sampled_from([1, 200, 2_000_000]),
    written=st.sampled_from([1, 4_096]),
    kept=st.sampled_from([0, 2_000, 1_000_000]),
)
def test_searches_among_writes_find_what_they_found_before(
    *,
    seed: int,
    count: int,
    parents: int,
    photos: int,
    spread: float,
    mode: Collapse,
    top_k: int,
    pairs: int,
    written: int,
    kept: int,
) -> None:
    """`pairs`, `written`: as few pictures are compared at a time as in a large catalog. `kept`:
    bytes of former comparisons that are kept."""
    items = [
        it.__class__(it.product_id, it.parent_id, it.facts, it.image_hash, it.photos[:photos])
        for it in shop_of(seed, count, parents, spread)
    ]
    view, rows = columns_of(items, list(VectorMetric)[seed % 3])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(unique_pictures, "MOST_PAIRS", pairs)
        patched.setattr(unique_pictures, "MOST_WRITTEN", written)
        patched.setattr(exact, "KEPT_NUMBERS", 0)
        patched.setattr(near_rows, "MOST_BYTES", kept)
        patched.setattr(vectors.Vectors, "size", kept)
        for module in (exact, collapse, former_exact):
            patched.setattr(module, "SPARE", 2)
        for step in range(8):
            now, before = answers(view, rows, seed + step, mode, top_k)
            assert now == before
            for write in range(seed % 4):
                change(view, rows, seed + 100 * step + write)
            if step % 3 == 2:
                rows = rows.compacted()
