"""Photos that do not fit their product: the rule, and pages on a real record."""

from __future__ import annotations

import numpy as np
import pytest

from retriever.domain.errors import SpaceUnavailable
from retriever.domain.generation import Generation
from retriever.domain.misfits import Misfit, Nearest, misfits
from retriever.domain.vectors import Floats, VectorWrite
from retriever.record import Record
from retriever.search.misfits import MisfitPage, find_misfits
from servicekit.rpc.requests import PageSizeInvalid, PageTokenInvalid, RequestInvalid
from tests.fakes.index import DIMENSION, FakeIndex, vector_of
from tests.unit.retriever.conftest import image_id, write
from tests.unit.retriever.rows import searcher
from tests.unit.retriever.search.conftest import follow

SHOWN = {
    "a": {b"a1": b"A", b"a2": b"A", b"a3": b"B"},  # the third photo shows b
    "b": {b"b1": b"B", b"b2": b"B"},
    "b-red": {b"r1": b"B", b"r2": b"B"},  # a variant of b
    "c": {b"c1": b"C"},
    "d": {b"d1": b"D", b"d2": b"A"},  # of two photos, one shows a
}
"""By product, what each of its photos shows."""


def like(photo: bytes, shown: bytes) -> Floats:
    """Return the vector of a photo: what it shows, and a little of its own."""
    return np.asarray(vector_of(shown) + 0.1 * vector_of(photo), np.float32)


@pytest.fixture
async def shop(made: Generation, record: Record, index: FakeIndex) -> Generation:
    for name, photos in SHOWN.items():
        parent = {"parent_id": "b"} if name == "b-red" else {}
        await record.write("default", [write(name, *photos, **parent)])
        await record.save_vectors(
            made, [VectorWrite(image_id(item), like(item, shown)) for item, shown in photos.items()]
        )
    return await follow(made, record, index)


async def page(
    record: Record, index: FakeIndex, size: int = 0, token: str = "", lead: float | None = None
) -> MisfitPage:
    return await find_misfits(
        "default",
        "visual",
        searcher(record, index),
        lambda: None,
        page_size=size,
        page_token=token,
        min_lead=lead,
    )


async def test_photos_nearer_to_another_product_are_found(
    record: Record, index: FakeIndex, shop: Generation
) -> None:
    found = await page(record, index)
    assert [(each.product_id, each.image_id) for each in found.found] == [
        ("a", image_id(b"a3")),
        ("d", image_id(b"d2")),
    ]
    first, second = found.found
    assert first.other.product_id in {"b", "b-red"}
    assert second.other.product_id == "a"
    assert first.other.similarity > 0.9 > first.similarity
    assert (found.examined, found.next_token) == (4, "")
    assert found.generation.name == shop.name


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_look_at_each_product_once(
    record: Record, index: FakeIndex, shop: Generation, size: int
) -> None:
    products, examined, token = [], 0, ""
    while True:
        found = await page(record, index, size, token)
        products += [each.product_id for each in found.found]
        examined += found.examined
        if not (token := found.next_token):
            break
    assert (products, examined) == (["a", "d"], 4)


async def test_a_larger_lead_finds_less_and_its_tokens_are_its_own(
    record: Record, index: FakeIndex, shop: Generation
) -> None:
    assert not (await page(record, index, lead=1.9)).found
    token = (await page(record, index, 1)).next_token
    with pytest.raises(PageTokenInvalid):
        await page(record, index, 1, token, lead=0.5)


async def test_bad_input_and_a_missing_index_are_errors(record: Record, index: FakeIndex) -> None:
    with pytest.raises(SpaceUnavailable):
        await page(record, index)
    for lead in (-0.1, 2.1, float("nan")):
        with pytest.raises(RequestInvalid):
            await page(record, index, lead=lead)
    with pytest.raises(PageSizeInvalid):
        await page(record, index, 201)


def test_the_lead_is_the_difference_of_the_similarities() -> None:
    own = np.eye(DIMENSION, dtype=np.float32)[:3]
    own[1] = own[0]
    nearest = [None, Nearest("q", "q1", 0.5), Nearest("q", "q2", 0.5)]
    assert misfits("p", ["p1", "p2", "p3"], own, nearest, 0.0) == [
        Misfit("p", "p3", 0.0, Nearest("q", "q2", 0.5), 0.5)
    ]
    assert not misfits("p", ["p1"], own[:1], [Nearest("q", "q1", 1.0)], 0.0)
