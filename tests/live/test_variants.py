"""Shops with fewer products than a search asks for, so that it goes through everything there is:
one where every product has many variants, each with a photo of its own, and one where most products
show a placeholder."""

import io
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from sightline_client import (
    Control,
    ControlKind,
    F,
    Product,
    ProductImage,
    Recommendations,
    SightlineClient,
)
from tests.live.conftest import until_indexed
from tests.waiting import SECONDS

VARIANTS = "variants"
"""The catalog."""
PRODUCTS, EACH = 81, 8
"""Number of products, equal to the classes of the grocery data set; a search requests 100."""


def shot(product: int, variant: int) -> bytes:
    """Return a photo of a variant: its product's colours with a separate grain."""
    colours = np.random.default_rng(product).integers(0, 255, (8, 8, 3))
    grain = np.random.default_rng((product, variant)).integers(-40, 40, (64, 64, 3))
    pixels = np.kron(colours, np.ones((8, 8, 1))) + grain
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def parent(product_id: str) -> str:
    return product_id.partition("-")[0]


def assortment() -> list[Product]:
    """Return every product without a photo, and its variants with one each."""
    made = [Product(f"p{number:02}", f"Product {number}") for number in range(PRODUCTS)]
    made += [
        Product(
            f"p{number:02}-{variant:02}",
            f"Product {number}",
            parent_id=f"p{number:02}",
            tags=("phone",) if variant % 2 else ("studio",),
            images=(ProductImage(shot(number, variant)),),
        )
        for number in range(PRODUCTS)
        for variant in range(EACH)
    ]
    return made


@pytest_asyncio.fixture
async def shop(gateway: str) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway, catalog=VARIANTS, timeout=SECONDS) as client:
        if not (await client.status()).indexed_images:
            products = assortment()
            for start in range(0, len(products), 100):
                await client.upsert_products(products[start : start + 100])
            await until_indexed(client, PRODUCTS * EACH)
        yield client


def once_each(product_ids: Sequence[str]) -> bool:
    """Return whether no product occurs in two variants."""
    return len({parent(each) for each in product_ids}) == len(product_ids)


async def test_a_photo_finds_each_product_once(shop: SightlineClient) -> None:
    for number in (0, 40, 80):
        found = await shop.search(image=shot(number, EACH), page_size=100)
        names = [item.product.product_id for item in found.results]
        assert len(names) == PRODUCTS
        assert once_each(names)
        assert parent(names[0]) == f"p{number:02}"
        assert not found.degradations


async def test_a_filter_chooses_the_variant_that_stands_for_a_product(
    shop: SightlineClient,
) -> None:
    phones = F.tags == "phone"
    found = await shop.search(image=shot(7, EACH), filter=phones, page_size=100)
    assert len(found.results) == PRODUCTS
    assert all(item.product.tags == ("phone",) for item in found.results)
    answer = await shop.recommend(image=shot(7, EACH), filter=phones, page_size=20)
    names = [item.product.product_id for item in answer.results]
    assert len(names) == 20
    assert once_each(names)
    assert parent(names[0]) == "p07"


async def test_variants_of_the_product_asked_with_are_not_like_it(shop: SightlineClient) -> None:
    answer = await shop.recommend(products="p03-01", page_size=80)
    names = [item.product.product_id for item in answer.results]
    assert len(names) == PRODUCTS - 1
    assert once_each(names)
    assert "p03" not in map(parent, names)


async def test_what_a_product_stands_for_is_named(shop: SightlineClient) -> None:
    found = await shop.search(image=shot(5, EACH), page_size=1)
    (first,) = found.results
    assert first.collapsed_product_ids
    assert {parent(each) for each in first.collapsed_product_ids} == {"p05"}


def outcomes(answer: Recommendations) -> list[tuple[str, str, str]]:
    return [(each.control, each.product_id, each.outcome) for each in answer.control_outcomes]


async def test_controls_pin_boost_bury_and_exclude(shop: SightlineClient) -> None:
    by_score = await shop.recommend(products="p03-01", page_size=80)
    best = parent(by_score.results[0].product.product_id)
    family = [best, *(f"{best}-{variant:02}" for variant in range(EACH))]
    pinned = ["nope", "p70-02", "p71-01", "p03-03"]
    hero = Control("hero", ControlKind.PIN, pinned, place=3, daily_budget=1)
    controls = [
        hero,
        Control("bury", ControlKind.BURY, family),
        Control("studio", ControlKind.EXCLUDE, filter=F.tags == "studio"),
    ]
    answer = await shop.recommend(products="p03-01", controls=controls, page_size=80)
    names = [item.product.product_id for item in answer.results]
    assert names[2] == "p71-01"
    assert (parent(names[-1]), len(names), once_each(names)) == (best, PRODUCTS - 1, True)
    for item in answer.results:
        assert sum(move.places for move in item.moves) == item.score_rank - item.rank
        assert item.product.tags != ("studio",)
    assert outcomes(answer) == [
        ("bury", "", "APPLIED"),
        ("studio", "", "APPLIED"),
        ("hero", "nope", "NOT_FOUND"),
        ("hero", "p70-02", "EXCLUDED"),
        ("hero", "p71-01", "APPLIED"),
        ("hero", "p03-03", "COLLAPSED"),
    ]
    explained = await shop.explain("p70-02", products="p03-01", controls=controls[2:])
    assert explained.outcome == "EXCLUDED_BY_CONTROL"
    again = await shop.recommend(products="p03-01", controls=[hero], page_size=80)
    assert outcomes(again) == [("hero", "", "OUT_OF_BUDGET")]
    assert again.results == by_score.results
    phones = Control("phones", ControlKind.BOOST, filter=F.tags == "phone", boost=10)
    boosted = await shop.recommend(products="p03-01", controls=[phones], page_size=20)
    assert {item.product.tags for item in boosted.results} == {("phone",)}


PLACEHOLDERS = "placeholders"
"""The catalog."""
SAME, OTHERS = 1_500, 20


@pytest_asyncio.fixture
async def unpictured(gateway: str) -> AsyncIterator[SightlineClient]:
    """Yield a client of a catalog in which most products show one photo."""
    async with SightlineClient(gateway, catalog=PLACEHOLDERS, timeout=SECONDS) as client:
        if not (await client.status()).indexed_images:
            images = [ProductImage(shot(SAME, 0))] * SAME
            images += [ProductImage(shot(number, 0)) for number in range(OTHERS)]
            products = [
                Product(f"q{number:04}", f"Product {number}", images=(image,))
                for number, image in enumerate(images)
            ]
            for start in range(0, len(products), 100):
                await client.upsert_products(products[start : start + 100])
            await until_indexed(client, SAME + OTHERS)
        yield client


@pytest.mark.full
async def test_a_placeholder_in_most_products_is_one_result(unpictured: SightlineClient) -> None:
    others = {f"q{number:04}" for number in range(SAME, SAME + OTHERS)}
    found = await unpictured.search(image=shot(SAME, 0), page_size=100)
    assert [item.product.product_id for item in found.results][:1] == ["q0000"]
    assert {item.product.product_id for item in found.results} == {"q0000", *others}
    assert not found.degradations
    answer = await unpictured.recommend(products="q0007", page_size=100)
    assert {item.product.product_id for item in answer.results} == others
    assert not answer.degradations
