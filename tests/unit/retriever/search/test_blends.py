"""Searches by several products or vectors at once, on a real record and an engine in memory."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from retriever.columns.column_cache import Columns
from retriever.domain.errors import ProductNotFound, VectorInvalid, VersionMismatch
from retriever.domain.generation import Generation
from retriever.record import Record
from retriever.search import search
from retriever.search.query import BlendPart, SearchQuery
from servicekit.rpc.requests import RequestInvalid
from tests.fakes.index import FakeIndex
from tests.unit.retriever.rows import searcher
from tests.unit.retriever.search.conftest import forever, given, names, own, stock


def blend(*parts: BlendPart, **fields: object) -> SearchQuery:
    return replace(SearchQuery("default", blend=parts), **fields)  # type: ignore[arg-type]


def part(weight: float, data: bytes = b"", product_id: str = "", **fields: object) -> BlendPart:
    return BlendPart(weight, given(data, **fields) if data else None, product_id)


async def test_a_blend_lies_between_its_parts(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"], "b": [b"2"], "c": [b"3"]})
    found = await names(blend(part(1.0, b"1"), part(0.7, b"2")), record, index)
    assert found == ["a", "b", "c"]
    away = await names(blend(part(1.0, b"1"), part(-0.9, b"2")), record, index)
    assert away[-1] == "b"


async def test_products_of_a_blend_stand_in_it_and_are_left_out(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"], "b": [b"2"], "c": [b"3"]})
    query = blend(part(1.0, product_id="a"), part(0.7, b"2"), part(-0.1, product_id="c"))
    assert await names(query, record, index) == ["b"]
    everything = replace(query, include_query_product=True)
    assert (await names(everything, record, index))[:2] == ["a", "b"]
    answer = await search.search(query, searcher(record, index), forever)
    assert own(answer) == ["a", "c"]


async def test_every_product_of_a_blend_that_is_missing_is_reported_with_its_path(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"]})
    query = blend(*(part(1.0, product_id=name) for name in ("gone", "a", "never")))
    with pytest.raises(ProductNotFound) as refused:
        await names(query, record, index)
    paths = [violation.field for violation in refused.value.violations]
    assert paths == ["blend.parts[0].product_id", "blend.parts[2].product_id"]


@pytest.mark.parametrize("in_memory", [False, True])
async def test_several_blends_are_answered_as_each_alone(
    made: Generation, record: Record, index: FakeIndex, *, in_memory: bool
) -> None:
    await stock(made, record, index, {"a": [b"1"], "b": [b"2"], "c": [b"3"]})
    deps = searcher(record, index)
    if in_memory:
        deps = replace(deps, columns=Columns(record, exact_rows=10))
        await deps.columns.vectors(made, wait=True)
    names = (("a",), ("a", "gone"), ("b", "c"))
    queries = [blend(*(part(1.0, product_id=each) for each in some)) for some in names]
    first, missing, last = await search.search_each(queries, deps, forever, lambda _: nullcontext())
    for query, found in ((queries[0], first), (queries[2], last)):
        assert isinstance(found, search.FoundNearest)
        alone = await search.search(query, deps, forever)
        assert found.plan == alone.plan
        assert found.candidates.product_ids == alone.candidates.product_ids
        assert found.plan.startswith("in memory") == in_memory
    assert isinstance(missing, ProductNotFound)
    assert [each.field for each in missing.violations] == ["blend.parts[1].product_id"]


async def test_a_blend_of_another_version_or_space_is_refused(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    with pytest.raises(VersionMismatch):
        await names(blend(part(1.0, b"1"), part(1.0, b"2", space_version="v0")), record, index)
    with pytest.raises(VectorInvalid, match=r"blend\.parts\[1\]\.vector\.space"):
        await names(blend(part(1.0, b"1"), part(1.0, b"2", space="text")), record, index)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ((), "blend.parts"),
        ((part(-1.0, b"1"),), "blend.parts"),
        ((part(0.0, b"1"),), "blend.parts[0].weight"),
        ((part(float("nan"), b"1"),), "blend.parts[0].weight"),
        ((part(1.0),), "blend.parts[0]"),
        ((part(1.0, b"1"),) * 17, "blend.parts"),
    ],
)
async def test_a_blend_out_of_its_range_is_refused(
    made: Generation, record: Record, index: FakeIndex, parts: tuple[BlendPart, ...], field: str
) -> None:
    with pytest.raises(RequestInvalid) as refused:
        await names(blend(*parts), record, index)
    assert [violation.field for violation in refused.value.violations] == [field]
