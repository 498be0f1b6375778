"""Lists of vectors, on a real record."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import SpaceUnavailable
from retriever.domain.generation import Generation, IndexParameters, VectorMetric
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from retriever.search.vectors import list_vectors
from servicekit.rpc.requests import PageSizeInvalid, PageTokenInvalid
from tests.fakes.index import DIMENSION, VERSION, vector_of
from tests.unit.retriever.conftest import generation, vectors, write


@pytest.fixture
async def visual(record: Record) -> Generation:
    """Return products a to e: a has two photos, d none, and the photo of e has no vector yet."""
    await record.save_offers("default", [EmbeddingSpace("visual", VERSION, DIMENSION, True)])
    made = await record.create_generation(generation())
    products = [write("a", b"1", b"2"), write("b", b"3"), write("c", b"1"), write("d")]
    await record.write("default", [*products, write("e", b"4")])
    await record.save_vectors(made, vectors(b"1", b"2", b"3"))
    return made


async def pages(record: Record, size: int, space: str = "visual") -> list[list[str]]:
    found, token = [], ""
    while True:
        page = await list_vectors("default", space, record, page_size=size, page_token=token)
        found.append([product_id for product_id, _ in page.means])
        if not (token := page.next_token):
            return found


async def test_a_products_vector_is_the_mean_of_its_photos(
    record: Record, visual: Generation
) -> None:
    page = await list_vectors("default", "visual", record, page_size=0, page_token="")
    found = dict(page.means)
    assert list(found) == ["a", "b", "c"]
    np.testing.assert_allclose(found["a"], (vector_of(b"1") + vector_of(b"2")) / 2, rtol=1e-6)
    np.testing.assert_array_equal(found["c"], vector_of(b"1"))
    assert (page.generation.space_version, page.next_token) == (VERSION, "")
    assert found["a"].dtype == np.dtype("<f4")


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_hold_each_product_once(record: Record, visual: Generation, size: int) -> None:
    found = await pages(record, size)
    assert [item for page in found for item in page] == ["a", "b", "c"]
    assert all(len(page) == size for page in found[:-1])


async def test_vectors_of_another_version_never_come_on_a_later_page(
    record: Record, visual: Generation
) -> None:
    first = await list_vectors("default", "visual", record, page_size=1, page_token="")
    newer = generation(name="visual-2", space_version="v2", collection="c2", active=False)
    await record.create_generation(newer)
    await record.save_vectors(newer, [VectorWrite(w.image_id, -w.vector) for w in vectors(b"3")])
    await record.activate("default", "visual-2", force=True)
    second = await list_vectors(
        "default", "visual", record, page_size=1, page_token=first.next_token
    )
    np.testing.assert_array_equal(dict(second.means)["b"], vector_of(b"3"))


async def test_a_space_with_one_vector_a_product_gives_just_that(
    record: Record, visual: Generation
) -> None:
    given = generation(
        name="c1",
        space="collaborative",
        space_version="lfm-1",
        dimension=3,
        collection="c3",
        of_products=True,
        parameters=IndexParameters(VectorMetric.IP),
    )
    await record.create_generation(given)
    own = np.array([1, 2, 3], np.float32)
    await record.save_vectors(given, [VectorWrite("", own, "b")])
    page = await list_vectors("default", "collaborative", record, page_size=9, page_token="")
    assert [product for product, _ in page.means] == ["b"]
    np.testing.assert_array_equal(page.means[0][1], own)


async def test_without_an_index_there_are_no_vectors(record: Record) -> None:
    with pytest.raises(SpaceUnavailable):
        await list_vectors("default", "visual", record, page_size=0, page_token="")


def token(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


@pytest.mark.parametrize(
    "given",
    [
        "x",
        token(1, "other", "visual", "visual-1", "a"),
        token(1, "default", "text", "visual-1", "a"),
        token(1, "default", "visual", "", "a"),
        token(2, "default", "visual", "visual-1", "a"),
    ],
)
async def test_a_token_of_another_list_is_refused(
    record: Record, visual: Generation, given: str
) -> None:
    with pytest.raises(PageTokenInvalid):
        await list_vectors("default", "visual", record, page_size=0, page_token=given)


async def test_a_token_of_a_generation_that_is_gone_says_so(
    record: Record, visual: Generation
) -> None:
    gone = token(1, "default", "visual", "visual-0", "a")
    with pytest.raises(SpaceUnavailable):
        await list_vectors("default", "visual", record, page_size=0, page_token=gone)


@pytest.mark.parametrize("size", [-1, 1001])
async def test_a_page_of_another_size_is_refused(record: Record, size: int) -> None:
    with pytest.raises(PageSizeInvalid):
        await list_vectors("default", "visual", record, page_size=size, page_token="")
