"""Events whose products the catalog does not have, usually for ids of another system."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from sightline_client.cli.base import running
from sightline_client.client import SightlineClient
from sightline_client.errors import InvalidRequest, NotFound, SightlineError

LOOKED_UP = 100
"""Most ids of products that are looked up."""
_SIDE_BY_SIDE = 8
_NAMED = 3


class Products:
    """The first products that the events of a file name."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """Events by product."""

    def add(self, product_id: str) -> None:
        """Count an event."""
        if product_id and (product_id in self.events or len(self.events) < LOOKED_UP):
            self.events[product_id] += 1


async def report(client: SightlineClient, products: Products) -> Mapping[str, int]:
    """Look the products up, and say how many events are of none; return both counts for programs.
    A caller that may not read products learns nothing."""
    ids = [*products.events]
    try:
        there: list[bool] = []
        for start in range(0, len(ids), _SIDE_BY_SIDE):
            part = ids[start : start + _SIDE_BY_SIDE]
            there += await asyncio.gather(*(known(client, product_id) for product_id in part))
    except SightlineError:
        return {}
    absent = [product_id for product_id, known in zip(ids, there, strict=True) if not known]
    looked, events = products.events.total(), sum(products.events[each] for each in absent)
    if absent:
        running.tell(
            "{events:,} of {looked:,} events whose products were looked up name none of the "
            "catalog {catalog}, such as {some}: answers will not use them. Are they ids of "
            "another system?",
            events=events,
            looked=looked,
            catalog=client.catalog,
            some=", ".join(absent[:_NAMED]),
        )
    return {"lookedUpCount": looked, "unmatchedCount": events}


async def known(client: SightlineClient, product_id: str) -> bool:
    """Return whether the catalog has a product."""
    try:
        await client.get_product(product_id)
    except (NotFound, InvalidRequest):  # invalid: no id looks like this
        return False
    return True
