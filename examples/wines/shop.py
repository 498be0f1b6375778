"""The example catalog as the client's products and events."""

from examples.wines.catalogue import Rating, Wine
from sightline_client import Attribute, Availability, Event, EventType, Money, Product, ProductImage


def product(wine: Wine) -> Product:
    """Convert a wine, with its photo read from its file."""
    about = wine.attributes
    return Product(
        product_id=wine.id,
        title=wine.title,
        category_path=wine.category_path,
        brand=wine.brand,
        price=Money(wine.price, wine.currency),
        availability=Availability.IN_STOCK if wine.available else Availability.OUT_OF_STOCK,
        tags=wine.tags,
        attributes=(
            Attribute("country", about.country),
            Attribute("region", about.region),
            *(Attribute("grape", grape) for grape in about.grapes),
            Attribute("body", about.body),
            Attribute("acidity", about.acidity),
            Attribute("abv", about.abv),
        ),
        images=(ProductImage(content=wine.image.read_bytes()),),
    )


def event(rating: Rating) -> Event:
    """Convert a rating, under an id that is the same on every import."""
    return Event(
        event_id=rating.event_id,
        type=EventType.RATING,
        product_id=rating.wine_id,
        user=rating.user_id,
        time=rating.time,
        value=rating.value,
    )
