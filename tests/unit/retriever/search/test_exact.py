"""Comparisons in memory against a slow reference of objects, and against the engine's path."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retriever.columns.column_cache import Columns
from retriever.domain.column_rows import PhotoRow
from retriever.domain.generation import Generation, VectorMetric
from retriever.domain.index_values import Collapse
from retriever.domain.product import Image, ProductContent, ProductWrite
from retriever.domain.vectors import Floats, GivenVector, VectorWrite
from retriever.record import Record
from retriever.search import exact, search
from retriever.search.candidates import Candidates, most_marked
from retriever.search.collapse import SPARE
from retriever.search.query import BlendPart, SearchQuery
from sightline_rules.facts import Facts
from sightline_rules.filters import All, Comparison, Filter, Operator
from sightline_rules.photos import image_id
from tests.fakes.index import DIMENSION, VERSION, FakeIndex, vector_of
from tests.unit.retriever.columns.conftest import A, B
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.rows import row_of, searcher
from tests.unit.retriever.search.conftest import follow, forever
from tests.unit.retriever.search.exact_reference import (
    CONDITIONS,
    PICTURE,
    Item,
    close,
    collapsed,
    columns_of,
    in_order,
    shop_of,
    similarity,
    unit,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@example(  # a variant of a product that is found shows the picture of the query's own product
    seed=1596,
    count=90,
    parents=3,
    spread=0.05,
    metric=VectorMetric.L2,
    mode=Collapse.DROP,
    top_k=60,
    queries=3,
    condition=Comparison("brand", Operator.EQUAL, "b1"),
    asked=2,
    excluded=0,
    few=False,
)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([0, 1, 2, 5, 12, 40, 90]),
    parents=st.sampled_from([0, 0, 1, 3, 20]),
    spread=st.sampled_from([0.05, 1.0]),
    metric=st.sampled_from(list(VectorMetric)),
    mode=st.sampled_from(list(Collapse)),
    top_k=st.sampled_from([1, 3, 10, 60, 1_000]),
    queries=st.integers(0, 3),
    condition=st.sampled_from(CONDITIONS),
    asked=st.integers(0, 2),
    excluded=st.integers(0, 3),
    few=st.booleans(),
)
def test_answers_are_those_of_the_reference(
    *,
    seed: int,
    count: int,
    parents: int,
    spread: float,
    metric: VectorMetric,
    mode: Collapse,
    top_k: int,
    queries: int,
    condition: Filter,
    asked: int,
    excluded: int,
    few: bool,
) -> None:
    """Compare with the reference. `few`: compare as few rows as in a catalog of a hundred
    thousand."""
    items = shop_of(seed, count, parents, spread)
    random = np.random.default_rng(seed)
    vectors = list(random.standard_normal((queries, DIMENSION)).astype(np.float32))
    own = [items[place] for place in random.permutation(count)[:asked].tolist()]
    left_out = {it.product_id for it in own} | {
        items[place].product_id for place in random.permutation(count)[:excluded].tolist()
    }
    left_out.add("nobody")
    if mode is Collapse.OFF:
        own = []
    view, rows = columns_of(items, metric)
    places = view.table.places([it.product_id for it in own])
    with pytest.MonkeyPatch.context() as patched:
        if few:
            patched.setattr(exact, "SPARE", 0)
            patched.setattr(exact, "WIDER", 2)
        ordered = asyncio.run(
            exact.nearest(
                view, rows, vectors, condition, left_out, top_k=top_k, collapse=mode, own=places
            )
        )
    found = Candidates.of(ordered, top_k, mode)
    order = in_order(items, vectors, condition, left_out, metric) if vectors else []
    by_id = {each.item.product_id: each for each in order}
    close_calls = any(
        abs(one.similarity - other.similarity) < 1e-5 * max(1, abs(one.similarity))
        for one, other in pairwise(order)
    )
    assert len(set(found.product_ids)) == len(found.product_ids)
    assert set(found.product_ids) <= set(by_id)
    assert close(found.similarities, [by_id[each].similarity for each in found.product_ids])
    if close_calls:
        return  # float32 may order these in another way
    assert list(found.image_ids) == [by_id[each].image_id for each in found.product_ids]
    if mode is Collapse.OFF:
        assert found.product_ids == [each.item.product_id for each in order[:top_k]]
        assert not any(found.collapsed)
        return
    groups = collapsed(order, own).groups
    kept = list(groups)[:top_k]
    none = [()] * len(found.product_ids)
    reported = dict(zip(found.product_ids, found.collapsed or none, strict=True))
    if mode is Collapse.DROP:
        assert found.product_ids == kept
    else:
        hidden = [name for name in by_id if name in set(found.product_ids) - set(kept)]
        assert len(hidden) <= most_marked(top_k)
        assert found.product_ids == [name for name in by_id if name in {*kept, *hidden}]
        assert all(reported[name] == () for name in hidden)
        assert set(hidden) <= {name for each in kept for name in reported[each]}
    for name in kept:
        assert set(reported[name]) <= set(groups[name]), name
    if len(order) <= min(top_k, SPARE):  # all there is was looked at, but for the query's picture
        skipped = {
            it.product_id for it in items if it.image_hash in {one.image_hash for one in own}
        }
        for name in kept:
            assert set(groups[name]) - set(reported[name]) <= skipped, name
        assert found.group_count == len(groups)
    assert found.group_count >= len(kept)


# The shops of the edges


def asked_of(items: Sequence[Item], mode: Collapse, own: Sequence[str] = ()) -> list[str]:
    view, rows = columns_of(items, VectorMetric.COSINE)
    found = asyncio.run(
        exact.nearest(
            view,
            rows,
            [np.ones(DIMENSION, np.float32)],
            All(),
            set(own),
            top_k=5,
            collapse=mode,
            own=view.table.places(list(own)),
        )
    )
    return Candidates.of(found, 5, mode).product_ids


def item(product_id: str, *near: float, parent: str = "", image_hash: int = 0) -> Item:
    """Return a product whose photos are as near to (1, 1, …) as given."""
    photos = []
    for each in near:
        vector = np.ones(DIMENSION, np.float32)
        vector[0] = each
        photos.append(vector)
    return Item(product_id, parent, Facts(), image_hash, tuple(photos))


@pytest.mark.parametrize("mode", list(Collapse))
def test_catalogs_of_none_of_one_and_of_one_family(mode: Collapse) -> None:
    assert asked_of([], mode) == []
    assert asked_of([item("a")], mode) == []
    assert asked_of([item("a", 1.0)], mode) == ["a"]
    assert asked_of([item("a", 1.0)], mode, ["a"]) == []
    variants = [item(f"v{n}", 1.0 - n / 10, parent="p") for n in range(3)]
    everything = ["v0", "v1", "v2"]
    assert asked_of(variants, mode) == (["v0"] if mode is Collapse.DROP else everything)


def test_equal_products_come_by_their_ids_and_photos_by_theirs() -> None:
    items = [item(name, 1.0, 1.0) for name in ("c", "a", "b")]
    assert asked_of(items, Collapse.OFF) == ["a", "b", "c"]
    assert asked_of(items, Collapse.DROP) == ["a", "b", "c"]


@pytest.mark.slow
def test_a_crowd_of_variants_leaves_room_for_what_stands_behind_it() -> None:
    crowd = [item(f"v{n:03}", 0.9 - n / 300, parent="p") for n in range(300)]
    pictures = [item(f"w{n:03}", -0.2 - n / 300, image_hash=PICTURE) for n in range(300)]
    others = [item(f"x{n}", -2.0 - n) for n in range(3)]
    assert asked_of([*crowd, *pictures, *others], Collapse.DROP) == [
        "v000",
        "w000",
        "x0",
        "x1",
        "x2",
    ]


async def test_a_write_during_a_comparison_moves_no_similarity_to_another_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Write during a comparison, which runs in threads over parts of a large generation."""
    monkeypatch.setattr(exact, "INLINE_NUMBERS", 0)
    monkeypatch.setattr(exact, "SHARE_NUMBERS", 3 * DIMENSION)
    items = [item(f"p{n}", 1.0 - n / 10) for n in range(4)]
    view, rows = columns_of(items, VectorMetric.COSINE)
    compare = rows.compare

    def meanwhile(queries: Sequence[Floats], share: slice) -> Floats:
        scores = compare(queries, share)
        if share.start > 0:
            return scores
        rows.remove(view.table.place("p0"))
        view.table.remove(["p0"])
        view.table.put([row_of("new", Facts())])
        key = PhotoRow("new/0", "new", "i0", 0, 2)
        rows.put(view.table.place("new"), [key], {"new/0": -np.ones(DIMENSION, np.float32)})
        return scores

    monkeypatch.setattr(rows, "compare", meanwhile)
    found = await exact.nearest(
        view,
        rows,
        [np.ones(DIMENSION, np.float32)],
        All(),
        (),
        top_k=9,
        collapse=Collapse.DROP,
        own=view.table.places([]),
    )
    candidates = Candidates.of(found, 9, Collapse.DROP)
    assert candidates.product_ids == ["p1", "p2", "p3"]
    expected = [
        similarity(VectorMetric.COSINE, np.ones(DIMENSION), it.photos[0]) for it in items[1:]
    ]  # type: ignore[arg-type]
    assert close(candidates.similarities, expected)


# The engine's path


def written(it: Item) -> ProductWrite:
    photos = {
        f"{it.product_id}-{position}".encode().hex().rjust(64, "0"): position
        for position in range(len(it.photos))
    }
    images = {
        name: Image(name, "image/jpeg", 10, 4, 3, it.image_hash if position == 0 else 0)
        for name, position in photos.items()
    }
    content = ProductContent(
        it.product_id,
        "A wine",
        parent_id=it.parent_id,
        brand=it.facts.brand,
        price=it.facts.price,
        image_ids=tuple(photos),
    )
    return ProductWrite(content, images)


async def stocked(
    items: Sequence[Item], record: Record, index: FakeIndex
) -> tuple[Generation, list[ProductWrite]]:
    made = await record.create_generation(generation())
    await index.create(made.collection, DIMENSION)
    writes = [written(it) for it in items]
    await record.write("default", writes)
    vectors = [
        VectorWrite(name, unit(vector))
        for it, write in zip(items, writes, strict=True)
        for name, vector in zip(write.content.image_ids, it.photos, strict=True)
        if vector is not None
    ]
    if vectors:
        await record.save_vectors(made, vectors)
    return await follow(made, record, index), writes


def vector_given(seed: int) -> GivenVector:
    values = np.random.default_rng(seed).standard_normal(DIMENSION).astype("<f4")
    return GivenVector("visual", VERSION, DIMENSION, values.tobytes())


def queries(items: Sequence[Item]) -> list[SearchQuery]:
    one = SearchQuery("default", vector=vector_given(1))
    found = [one, replace(one, top_k=3), replace(one, condition=CONDITIONS[1])]
    if len(items) > 2:
        names = [it.product_id for it in items[:3]]
        found += [
            SearchQuery("default", product_id=names[0]),
            SearchQuery("default", product_id=names[1], include_query_product=True, top_k=4),
            replace(one, excluded=tuple(names), condition=CONDITIONS[2]),
            SearchQuery(
                "default",
                blend=(
                    BlendPart(1.0, vector_given(2)),
                    BlendPart(0.5, product_id=names[0]),
                    BlendPart(-0.2, product_id=names[2]),
                ),
            ),
        ]
    return found


def stay(found: Candidates) -> list[str]:
    """Return the products without those beside the one that they collapse into."""
    named = {name for names in found.collapsed for name in names}
    return [name for name in found.product_ids if name not in named]


@pytest.mark.first(2)
@pytest.mark.slow
@pytest.mark.parametrize("mode", list(Collapse))
@pytest.mark.parametrize(("count", "parents"), [(0, 0), (1, 0), (12, 0), (40, 3), (90, 20)])
async def test_the_engines_path_answers_the_same(
    record: Record, count: int, parents: int, mode: Collapse
) -> None:
    index = FakeIndex()
    items = shop_of(count + parents, count, parents, 0.5)
    items.sort(key=lambda it: bool(it.parent_id))
    await stocked(items, record, index)
    columns = Columns(record, patience=None)
    for query in queries(items):
        asked = replace(query, collapse=mode)
        memory = await search.search(asked, searcher(record, index, columns=columns), forever)
        engine = await search.search(asked, searcher(record, index), forever)
        assert memory.plan.startswith("in memory, ")
        assert engine.plan.startswith("flat, ")
        one, other = memory.candidates, engine.candidates
        assert stay(one) == stay(other)
        for mine in (one, other):
            assert len(mine.product_ids) <= asked.top_k + most_marked(asked.top_k)
        if asked.top_k < len(items) and mode is Collapse.MARK:
            continue  # which near-duplicates stay beside them is how far each looked
        assert one.product_ids == other.product_ids
        assert close(one.similarities, other.similarities)
        for mine_, its, similar in zip(
            one.image_ids, other.image_ids, one.similarities, strict=True
        ):
            assert mine_ == its or similar > 0.9999, "of the query's own photos each is the best"
        if asked.top_k >= len(items):
            assert list(one.collapsed) == list(other.collapsed)
        ids = [
            [each.view.table.ids[p] for p in a.own] for a, each in ((memory, one), (engine, other))
        ]
        assert ids[0] == ids[1]
        assert (memory.freshness.seq, memory.generation) == (
            engine.freshness.seq,
            engine.generation,
        )


async def test_a_product_that_is_written_during_a_comparison_is_found(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await record.create_generation(generation())
    await record.write("default", [write("near", A), write("far", B)])
    await record.save_vectors(made, vectors(A, B))
    columns = Columns(record, patience=None)
    found = await columns.vectors(made)
    assert found is not None
    view, rows = found
    compare, loop = rows.compare, asyncio.get_running_loop()

    async def written() -> None:
        await record.save_vectors(made, [VectorWrite(image_id(A), vector_of(A) * 2)])
        await columns.vectors(made)

    def comparing(*args: object) -> object:
        scores = compare(*args)  # type: ignore[arg-type]
        asyncio.run_coroutine_threadsafe(written(), loop).result()
        return scores

    monkeypatch.setattr(exact, "INLINE_NUMBERS", 0)
    monkeypatch.setattr(rows, "compare", comparing)
    ordered = await exact.nearest(
        *(view, rows, [vector_of(A)], All(), ()),
        top_k=10,
        collapse=Collapse.OFF,
        own=view.table.places([]),
    )
    assert [view.table.ids[place] for place in ordered.places.tolist()] == ["near", "far"]
