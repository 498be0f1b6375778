"""Events of the shop. Who liked which wine is real, from the ratings; times, views, orders and
posts are made up.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from examples.wines.demo.scenes import changed_photo
from examples.wines.loading import Rating, Wine
from sightline_client import Attribute, Event, EventType, Product, ProductImage

DAYS = 28
LIKED = 4.0
"""Minimum number of stars with which a visit ends with an order."""
RISING = "102055"
"""The wine that all shoppers have viewed since this morning."""
RISING_VIEWS = 15
VISITOR = "cookie-7"
CUSTOMER = "1209683"
AGAIN = ("111478", "102055")
"""The wines that the customer ordered twice before."""
AUTHORS = ("ann", "bob", "eve")

HONESTY = (
    "Who liked which wines is real: 1,000 ratings of X-Wines. When they shopped is made up: one"
    f" visit of each person within the last {DAYS} days, in which they viewed what they rated and"
    f" ordered what they gave {LIKED:g} stars or more. Made up, too: {RISING_VIEWS} views of one"
    " wine this morning, three views of a visitor, two former orders of a customer, three posts."
)


def events(wines: Sequence[Wine], ratings: Sequence[Rating], now: datetime) -> Iterator[Event]:
    """Yield visits and orders; each ``now`` gives different ones."""
    for event in _shopping(wines, ratings, now):
        yield replace(event, event_id=f"{now:%Y%m%dT%H%M%S}-{event.event_id}")


def _shopping(wines: Sequence[Wine], ratings: Sequence[Rating], now: datetime) -> Iterator[Event]:
    by_person: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        by_person[rating.user_id].append(rating)
    for days in (2 * DAYS, DAYS + 1):
        yield from _order(f"again-{days}", CUSTOMER, AGAIN, now - timedelta(days=days))
    step = timedelta(days=DAYS) / len(by_person)
    for place, (person, rated) in enumerate(by_person.items()):
        when = now - timedelta(hours=12) - step * (len(by_person) - place)
        liked = [rating.wine_id for rating in rated if rating.value >= LIKED]
        yield from _views(f"visit-{person}", [r.wine_id for r in rated], when, user=person)
        yield from _order(f"order-{person}", person, liked, when + timedelta(minutes=30))
    for number in range(RISING_VIEWS):
        who = f"rising-{number}"
        yield from _views(who, [RISING], now - timedelta(hours=3), visitor=who)
    viewed = [wine.id for wine in wines if wine.type == "Sparkling" and wine.available][:3]
    yield from _views("viewed", viewed, now - timedelta(minutes=5), visitor=VISITOR)


def posts(wines: Sequence[Wine]) -> list[Product]:
    """Return posts about wines, each with a shopper's own photo of one."""
    about = [wine for wine in wines if wine.type == "Rosé"]
    return [
        Product(
            product_id=f"post-{author}",
            title=f"{author.capitalize()} tasted {wine.title}",
            images=(ProductImage(content=changed_photo(wine)),),
            attributes=(Attribute("author", author),),
        )
        for author, wine in zip(AUTHORS, about, strict=False)
    ]


def _views(
    name: str, wines: Sequence[str], when: datetime, *, user: str = "", visitor: str = ""
) -> Iterator[Event]:
    for number, wine in enumerate(wines):
        yield Event(
            event_id=f"{name}-view-{number}",
            type=EventType.VIEW,
            product_id=wine,
            user=user,
            visitor=visitor,
            session=name,
            time=when + timedelta(minutes=number),
        )


def _order(name: str, user: str, wines: Sequence[str], when: datetime) -> Iterator[Event]:
    for number, wine in enumerate(wines):
        yield Event(
            event_id=f"{name}-{number}",
            type=EventType.PURCHASE,
            product_id=wine,
            user=user,
            order_id=name,
            time=when,
        )
