"""Nearest rows of former comparisons: what they find, beside comparing all rows, and their room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.columns import near_rows
from retriever.columns.near_rows import KeptRows, NearRows, Scores
from retriever.columns.vectors import Vectors
from retriever.domain.column_rows import PhotoRow
from retriever.domain.vectors import Floats
from tests.unit.retriever.conftest import generation

QUERY = [np.ones(4, np.float32)]
OTHER = [np.full(4, 2.0, np.float32)]
ROOM = 1_000_000


def near(scores: Scores, count: int) -> NearRows:
    """Return the `count` nearest rows of all, and those as near as the last of them."""
    floor = np.sort(scores)[-count]
    (rows,) = (scores >= floor).nonzero()
    return NearRows(rows.astype(np.int32), scores[rows], floor, count, len(scores))


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**31),
    before=st.integers(20, 60),
    written=st.lists(st.integers(0, 8), max_size=4),
    count=st.integers(1, 15),
)
def test_rows_written_since_are_found_too(
    seed: int, before: int, written: list[int], count: int
) -> None:
    scores = np.random.default_rng(seed).integers(0, 30, before + sum(written)).astype(np.float32)
    kept, total, compared = KeptRows(), before, list[slice]()

    def compare(_queries: Sequence[Floats], rows: slice) -> Scores:
        compared.append(rows)
        return scores[rows]

    kept.keep(QUERY, near(scores[:before], count), ROOM)
    for more in written:
        since, total = total, total + more
        found = kept.nearest(QUERY, count, total, compare, most_written=5)
        if found is None:
            assert more > 5
            kept.keep(QUERY, near(scores[:total], count), ROOM)
            continue
        assert compared[-1:] == ([slice(since, total)] if more else compared[-1:])
        rows, similarities = found
        floor = similarities.min()
        assert rows.tolist() == (scores[:total] >= floor).nonzero()[0].tolist()
        assert similarities.tolist() == scores[rows].tolist()
        assert len(rows) >= count


def never(_queries: Sequence[Floats], _rows: slice) -> Scores:
    raise AssertionError("compared again")


def test_more_rows_or_another_query_are_compared_anew() -> None:
    kept, scores = KeptRows(), np.arange(20, dtype=np.float32)
    kept.keep(QUERY, near(scores, 3), ROOM)
    assert kept.nearest(QUERY, 4, 20, never, most_written=5) is None
    assert kept.nearest(OTHER, 3, 20, never, most_written=5) is None
    assert kept.nearest([*QUERY, *QUERY], 3, 20, never, most_written=5) is None
    assert kept.nearest(QUERY, 2, 20, never, most_written=5) is not None


def test_a_comparison_that_began_before_a_write_finds_no_row_of_it() -> None:
    kept, scores = KeptRows(), np.arange(20, dtype=np.float32)
    kept.keep(QUERY, near(scores, 3), ROOM)
    found = kept.nearest(QUERY, 3, 18, never, most_written=5)
    assert found is not None
    assert found[0].tolist() == [17]


@pytest.mark.parametrize("most", [ROOM, 3_000])
def test_the_last_used_stay_while_there_is_room(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(near_rows, "MOST_BYTES", most)
    kept, found = KeptRows(), near(np.arange(50, dtype=np.float32), 20)
    queries = [[np.full(4, number, np.float32)] for number in range(30)]
    for each in queries:
        kept.keep(each, found, 5 * found.size)
        assert kept.nearest(queries[0], 20, 50, never, most_written=5) is not None
    assert len(kept) == min(5, most // found.size)
    assert kept.nearest(queries[-1], 20, 50, never, most_written=5) is not None
    assert kept.nearest(queries[1], 20, 50, never, most_written=5) is None
    kept.keep(OTHER, found, 0)
    assert len(kept) == 0


def test_a_comparison_of_many_rows_does_not_take_the_room_of_all_others() -> None:
    kept, found = KeptRows(), near(np.arange(500, dtype=np.float32), 20)
    room = 8 * found.size
    kept.keep(QUERY, found, room)
    kept.keep(OTHER, near(np.arange(500, dtype=np.float32), 500), room)
    assert kept.nearest(QUERY, 20, 500, never, most_written=5) is not None
    assert kept.nearest(OTHER, 20, 500, never, most_written=5) is None


def test_rows_that_are_found_by_writes_take_no_more_room() -> None:
    kept, scores = KeptRows(), np.ones(60, np.float32)
    first = near(scores[:20], 20)
    queries = [[np.full(4, number, np.float32)] for number in range(8)]
    for each in queries:
        kept.keep(each, first, 8 * first.size)
    assert len(kept) == 8
    for each in queries:
        found = kept.nearest(each, 20, 60, lambda _queries, rows: scores[rows], most_written=40)
        assert found is None or len(found[0]) == 60
    assert len(kept) * near(scores, 20).size <= 8 * first.size


@pytest.mark.parametrize("dimension", [8, 80, 1_280])
def test_a_row_has_the_same_similarity_whatever_rows_are_compared_with_it(dimension: int) -> None:
    rows = Vectors(replace(generation(), dimension=dimension))
    random = np.random.default_rng(7)
    made = random.standard_normal((131, dimension)).astype(np.float32)
    asked = [random.standard_normal(dimension).astype(np.float32)]
    before = np.zeros(0, np.float32)
    for place, vector in enumerate(made):
        rows.put(place, [PhotoRow(f"r{place}", f"p{place}", "i0", 0, 1)], {f"r{place}": vector})
        scores = rows.compare(asked)
        assert scores[:-1].tolist() == before.tolist()
        assert rows.compare(asked, slice(place // 2, place + 1)).tolist() == (
            scores[place // 2 :].tolist()
        )
        before = scores
