"""Comparisons in memory against a slow reference of objects, and against the engine's path."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.columns.keeper import Columns, View
from retriever.columns.table import Table
from retriever.columns.vectors import Vectors, loaded
from retriever.domain.generation import Generation, IndexParameters, Metric
from retriever.domain.index_values import Collapse
from retriever.domain.product import Image, ProductContent, ProductWrite
from retriever.domain.vectors import Floats, GivenVector, VectorWrite
from retriever.ports.columns import PhotoRow
from retriever.record import Record
from retriever.search import exact, search
from retriever.search.candidates import Candidates, most_marked
from retriever.search.collapse import SPARE
from retriever.search.query import BlendPart, Query
from sightline_rules import duplicates
from sightline_rules.duplicates import CERTAIN, COLOUR_BITS, Candidate
from sightline_rules.filters import (
    All,
    Availability,
    Comparison,
    Existence,
    Facts,
    Filter,
    Money,
    Not,
    Operator,
    passes,
)
from tests.fakes.index import DIMENSION, VERSION, FakeIndex
from tests.unit.retriever.conftest import generation
from tests.unit.retriever.rows import row_of, searcher
from tests.unit.retriever.search.test_search import follow, forever

PICTURE = 0xFD22_0A9F_1C87_6333
HASHES = (
    0,
    PICTURE,
    PICTURE ^ 1 << COLOUR_BITS,
    PICTURE ^ ((1 << (CERTAIN + 2)) - 1) << COLOUR_BITS,
)
"""None, one picture, one like it for certain, one where the vectors decide."""
CONDITIONS: tuple[Filter, ...] = (
    All(),
    Comparison("brand", Operator.EQUAL, "b1"),
    Comparison("price", Operator.LESS, Money("EUR", 3)),
    Not(Existence("price")),
    Comparison("brand", Operator.EQUAL, "nobody's"),
)


@dataclass(frozen=True)
class Item:
    """A product and its photos' vectors in order; None = that one has none yet."""

    product_id: str
    parent_id: str
    facts: Facts
    image_hash: int
    photos: tuple[Floats | None, ...]


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector.astype(np.float64)), np.float32)


def shop_of(seed: int, count: int, parents: int, spread: float) -> list[Item]:
    """Products of which many are alike. `parents`: how many products others are variants of;
    `spread`: how far vectors lie from one of a few."""
    random = np.random.default_rng(seed)
    kinds = random.standard_normal((3, DIMENSION))

    def vector() -> Floats | None:
        near = kinds[random.integers(3)] + spread * random.standard_normal(DIMENSION)
        return None if random.random() < 0.1 else near.astype(np.float32)

    items = []
    for number in random.permutation(count).tolist():
        price = Money(str(random.choice(["EUR", "USD"])), int(random.integers(5)))
        facts = Facts(
            brand=f"b{random.integers(3)}",
            price=None if random.random() < 0.3 else price,
            availability=Availability.IN_STOCK,
        )
        # Parents "q…" are products of their own only where the numbers say so.
        variant = number >= parents and random.random() < 0.6 and parents > 0
        items.append(
            Item(
                f"p{number}" if number >= parents else f"q{number}",
                f"q{random.integers(parents)}" if variant else "",
                facts,
                HASHES[int(random.integers(len(HASHES)))] if random.random() < 0.6 else 0,
                tuple(vector() for _ in range(int(random.integers(4)))),
            )
        )
    return items


def columns_of(items: Sequence[Item], metric: Metric) -> tuple[View, Vectors]:
    table = Table(
        row_of(it.product_id, it.facts, parent_id=it.parent_id, image_hash=it.image_hash)
        for it in items
    )
    rows, fresh = list[PhotoRow](), dict[str, Floats]()
    for it in items:
        for position, vector in enumerate(it.photos):
            if vector is not None:
                name = f"{it.product_id}/{position}"
                rows.append(PhotoRow(name, it.product_id, f"i{position}", position, 1))
                fresh[name] = vector
    made = generation(parameters=IndexParameters(metric=metric))
    return View.of(table), loaded(made, table, rows, fresh)


# The reference


@dataclass(frozen=True)
class Found:
    """A product that passes, by its nearest photo."""

    item: Item
    similarity: float
    image_id: str


def similarity(metric: Metric, query: Floats, vector: Floats) -> float:
    match metric:
        case Metric.COSINE:
            return float(np.clip(unit(query) @ unit(vector), -1, 1))
        case Metric.IP:
            return float(query @ vector)
        case Metric.L2:
            return -float(((query - vector).astype(np.float64) ** 2).sum())


def in_order(
    items: Sequence[Item],
    queries: Sequence[Floats],
    condition: Filter,
    left_out: Collection[str],
    metric: Metric,
) -> list[Found]:
    found = []
    for it in items:
        known = [
            (max(similarity(metric, query, vector) for query in queries), f"i{position}")
            for position, vector in enumerate(it.photos)
            if vector is not None
        ]
        if known and passes(condition, it.facts) and it.product_id not in left_out:
            found.append(Found(it, *max(known)))
    return sorted(found, key=lambda each: (-each.similarity, each.item.product_id))


def marks_of(items: Sequence[Item]) -> dict[str, list[tuple[str, str]]]:
    """Pairs whose first photos' vectors say that they show one picture, as marks of both."""
    marks: dict[str, list[tuple[str, str]]] = {it.product_id: [] for it in items}
    for place, one in enumerate(items):
        for other in items[place + 1 :]:
            left, right = (each.photos[0] if each.photos else None for each in (one, other))
            if left is None or right is None:
                continue
            cosine = float(unit(left) @ unit(right))
            if duplicates.same_picture(one.image_hash, other.image_hash, cosine):
                for each in (one, other):
                    marks[each.product_id].append((one.product_id, other.product_id))
    return marks


@dataclass(frozen=True)
class Expected:
    """By one that stays what collapses into it, best first; those of the query's own left out."""

    groups: dict[str, tuple[str, ...]]


def collapsed(order: Sequence[Found], own: Sequence[Item], items: Sequence[Item]) -> Expected:
    marks = marks_of(items)
    stood = [*own, *(each.item for each in order)]
    candidates = [
        Candidate(it.product_id, it.parent_id, it.image_hash, marks[it.product_id]) for it in stood
    ]
    groups = duplicates.collapse(candidates)
    return Expected(
        {
            stood[group.place].product_id: group.collapsed
            for group in groups
            if group.place >= len(own)
        }
    )


def close(one: Sequence[float], other: Sequence[float]) -> bool:
    return list(one) == pytest.approx(list(other), rel=1e-4, abs=1e-5)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([0, 1, 2, 5, 12, 40, 90]),
    parents=st.sampled_from([0, 0, 1, 3, 20]),
    spread=st.sampled_from([0.05, 1.0]),
    metric=st.sampled_from(list(Metric)),
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
    metric: Metric,
    mode: Collapse,
    top_k: int,
    queries: int,
    condition: Filter,
    asked: int,
    excluded: int,
    few: bool,
) -> None:
    """`few`: as few rows are looked at as a catalog of a hundred thousand lets us."""
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
    groups = collapsed(order, own, items).groups
    kept = list(groups)[:top_k]
    told = dict(zip(found.product_ids, found.collapsed, strict=True))
    if mode is Collapse.DROP:
        assert found.product_ids == kept
    else:
        hidden = [name for name in by_id if name in set(found.product_ids) - set(kept)]
        assert len(hidden) <= most_marked(top_k)
        assert found.product_ids == [name for name in by_id if name in {*kept, *hidden}]
        assert all(told[name] == () for name in hidden)
        assert set(hidden) <= {name for each in kept for name in told[each]}
    for name in kept:
        assert set(told[name]) <= set(groups[name]), name
    if len(order) <= min(top_k, SPARE):  # all there is was looked at
        assert {name: told[name] for name in kept} == groups
        assert found.group_count == len(groups)
    assert found.group_count >= len(kept)


# The shops of the edges


def asked_of(items: Sequence[Item], mode: Collapse, own: Sequence[str] = ()) -> list[str]:
    view, rows = columns_of(items, Metric.COSINE)
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
    """A product whose photos are as near to (1, 1, …) as given."""
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
    """Large generations are compared in a thread, while the next write is taken in."""
    monkeypatch.setattr(exact, "INLINE_NUMBERS", 0)
    items = [item(f"p{n}", 1.0 - n / 10) for n in range(4)]
    view, rows = columns_of(items, Metric.COSINE)
    compare = rows.compare

    def meanwhile(queries: Sequence[Floats]) -> Floats:
        scores = compare(queries)
        rows.remove(view.table.place("p0"))
        view.table.remove(["p0"])
        view.table.put(row_of("new", Facts()))
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
    expected = [similarity(Metric.COSINE, np.ones(DIMENSION), it.photos[0]) for it in items[1:]]  # type: ignore[arg-type]
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


def queries(items: Sequence[Item]) -> list[Query]:
    one = Query("default", vector=vector_given(1))
    found = [one, replace(one, top_k=3), replace(one, condition=CONDITIONS[1])]
    if len(items) > 2:
        names = [it.product_id for it in items[:3]]
        found += [
            Query("default", product_id=names[0]),
            Query("default", product_id=names[1], include_query_product=True, top_k=4),
            replace(one, excluded=tuple(names), condition=CONDITIONS[2]),
            Query(
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
    """The products but for those that stand beside the one that they collapse into."""
    named = {name for names in found.collapsed for name in names}
    return [name for name in found.product_ids if name not in named]


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
