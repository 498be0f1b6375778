"""The example catalog becomes products and events without losing anything."""

import hashlib

from examples.wines import catalogue, shop
from sightline_client import Availability, EventType
from sightline_client.convert import from_wire, to_wire


def test_every_wine_is_a_product_that_the_contract_can_hold() -> None:
    wines = catalogue.load_wines()
    products = [shop.product(wine) for wine in wines]
    assert len({product.product_id for product in products}) == 100
    assert [from_wire.product(to_wire.product(product)) for product in products] == products
    sold_out = {p.product_id for p in products if p.availability is Availability.OUT_OF_STOCK}
    assert sold_out == {wine.id for wine in wines if not wine.available}


def test_a_product_has_its_photo_and_its_grapes() -> None:
    wine = catalogue.load_wines()[0]
    product = shop.product(wine)
    digest = hashlib.sha256(product.images[0].content).hexdigest()
    assert digest == hashlib.sha256(wine.image.read_bytes()).hexdigest()
    grapes = tuple(a.value for a in product.attributes if a.key == "grape")
    assert grapes == wine.attributes.grapes


def test_a_rating_is_an_event_with_its_own_id_value_and_time() -> None:
    rating = catalogue.load_ratings()[0]
    event = shop.event(rating)
    assert (event.type, event.value, event.time) == (EventType.RATING, rating.value, rating.time)
    assert (event.event_id, event.user, event.product_id) == (
        rating.event_id,
        rating.user_id,
        rating.wine_id,
    )
