"""Prices of writes, from their messages."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.model.filters import of_words
from gateway.model.price import (
    EXPENSIVE_SECONDS,
    MOST_EMBEDDED,
    PHOTO,
    PHOTO_MODEL,
    TEXT_MODEL,
    TEXT_MODEL_CHARACTER,
    RequestPrice,
)
from gateway.servicer.write_prices import PRICES
from sightline.common.v1.product_pb2 import Product, ProductImage
from sightline.gateway.v1 import catalog_service_pb2 as pb

LONGEST_TEXT = TEXT_MODEL + MOST_EMBEDDED * TEXT_MODEL_CHARACTER
WORDS = "a dry red wine of the hills "


def described(number: int, attributes: int = 30, **fields: Any) -> Product:
    made = Product(product_id=f"p{number}", title="Wine", **fields)
    for key in range(attributes):
        made.attributes.add(key=f"key{key}", text=WORDS * 2)
    return made


def upsert(*products: Product) -> RequestPrice:
    return PRICES["UpsertProducts"](pb.UpsertProductsRequest(products=products), 0)


def many(count: int, **fields: Any) -> Sequence[Product]:
    return [described(number, **fields) for number in range(count)]


def test_a_hundred_new_texts_cost_what_the_model_takes_for_them() -> None:
    price = upsert(*many(100))
    assert price.models == pytest.approx(100 * LONGEST_TEXT)
    assert price.models == pytest.approx(3.5)
    assert price.seconds > price.models


def test_a_short_text_costs_less_than_a_long_one() -> None:
    short = upsert(Product(product_id="p1", title="Red wine"))
    assert TEXT_MODEL < short.models < LONGEST_TEXT / 4


def test_a_description_is_stored_and_not_embedded() -> None:
    plain, long = (
        upsert(Product(product_id="p1", title="Wine", description=text)) for text in ("", "w" * 900)
    )
    assert long.models == pytest.approx(plain.models, abs=TEXT_MODEL_CHARACTER * 10)
    assert long.seconds > plain.seconds


def test_a_product_without_words_has_no_text_to_embed() -> None:
    assert upsert(Product(product_id="p1", stock=3)).models == 0


@pytest.mark.parametrize(
    ("image", "photos"),
    [
        (ProductImage(content=b"x" * 10_000), 1),
        (ProductImage(uri="https://shop.example/1.jpg"), 1),
        (ProductImage(image_id="f" * 64), 0),
    ],
    ids=["sent", "fetched", "held already"],
)
def test_a_photo_costs_its_decoding_and_its_model(image: ProductImage, photos: int) -> None:
    bare, with_photo = (
        upsert(Product(product_id="p1", title="Wine", images=images)) for images in ([], [image])
    )
    models = with_photo.models - bare.models
    assert models == pytest.approx(photos * PHOTO_MODEL, abs=0.001)
    more = with_photo.seconds - bare.seconds
    assert more == pytest.approx(photos * (PHOTO + PHOTO_MODEL), abs=0.001)


def test_a_large_batch_waits_for_its_turn_and_a_small_one_does_not() -> None:
    assert upsert(*many(100)).is_expensive
    assert not upsert(*many(10)).is_expensive


def test_photos_and_models_of_a_write_do_not_make_it_wait() -> None:
    image = ProductImage(uri="https://shop.example/1.jpg")
    price = upsert(*many(10, images=[image] * 20))
    assert price.seconds > 40
    assert price.queue_seconds < EXPENSIVE_SECONDS


def test_rows_of_an_import_cost_what_their_products_cost() -> None:
    rows = [pb.ImportRow(row_number=n + 1, product=each) for n, each in enumerate(many(20))]
    found = PRICES["ImportProducts"](pb.ImportProductsRequest(rows=rows), 0)
    assert found == upsert(*many(20))


def update(product: Product, *mask: str) -> RequestPrice:
    change = pb.ProductUpdate(product=product)
    change.update_mask.paths.extend(mask)
    return PRICES["UpdateProducts"](pb.UpdateProductsRequest(updates=[change]), 0)


@pytest.mark.parametrize(
    ("product", "mask", "embeds"),
    [
        (Product(product_id="p1", stock=3), (), False),
        (Product(product_id="p1", title="Wine"), (), True),
        (Product(product_id="p1", title="Wine", stock=3), ("stock",), False),
        (Product(product_id="p1"), ("tags",), True),
        (Product(product_id="p1", description="Dry"), (), False),
    ],
)
def test_a_change_of_words_costs_the_embedding_of_the_whole_text(
    product: Product, mask: tuple[str, ...], embeds: bool
) -> None:
    assert update(product, *mask).models == pytest.approx(LONGEST_TEXT if embeds else 0)


def test_offers_and_deletions_cost_no_model_and_never_wait() -> None:
    offers = PRICES["UpdateOffers"](pb.UpdateOffersRequest(offers=[pb.Offer()] * 1_000), 0)
    deletions = PRICES["DeleteProducts"](
        pb.DeleteProductsRequest(product_ids=map(str, range(1_000))), 0
    )
    for price in (offers, deletions):
        assert price.models == 0
        assert 0.05 < price.seconds <= EXPENSIVE_SECONDS


def test_a_purge_costs_its_filter_on_the_whole_catalog() -> None:
    request = pb.PurgeProductsRequest(filter=of_words("brand = Miolo").message)  # type: ignore[arg-type]
    small, large = (PRICES["PurgeProducts"](request, products) for products in (1_000, 100_000))
    assert large.seconds > 50 * small.parts["filter"]
