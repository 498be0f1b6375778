"""Prices of requests about photos, frames and written products, and the limits of their roles.

Their price is charged to quotas, but what models take of it is not rejected above
GATEWAY_REQUEST_SECONDS: a photo of a whole shelf, and a hundred texts, cost more than a search may.
So the limit of these roles is the price of the largest request that the contract takes.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from gateway.model.price import FrameWork, detection_price, frames_price, inspection_price
from gateway.servicer.write_prices import PRICES
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest
from tests.fuzz.cost.recipes import NUMBERS, USED, WATCHES, Recipe, bounded, photo_of
from vision.domain.watches import MOST_FOUND

CPU_LIMIT: Final = 1.0
"""Processor seconds of a request, in all services together, of roles without their own limit."""
ROLES_PRICED: Final = ("catalog", "detect", "inspect", "watch")
"""Roles whose requests are about photos and frames, or write products."""
LEAST_PRICE: Final = 0.9
"""Limit of a price, as a share of what the request costs."""
_VIEWS: Final = 2
"""Views of an object."""


def price(recipe: Recipe) -> float | None:
    """Return the price of a request that is about a photo or frames, or writes products; None of
    other requests. It is that of a flat photo of the same sides and format."""
    match recipe.call:
        case "DetectProducts":
            heat_maps = min(recipe.heat_maps, recipe.detections)
            return detection_price(recipe.detections, heat_maps, photo_of(recipe, 0)).seconds
        case "Inspect":
            return inspection_price(photo_of(recipe, 0)).seconds
        case "SendFrames":
            shown = [photo_of(recipe, 0)] * recipe.frames
            return frames_price(recipe.frames, work(recipe), shown).seconds
        case "UpsertProducts":
            return PRICES[recipe.call](UpsertProductsRequest.FromString(recipe.build(0)), 0).seconds
        case _:
            return None


def work(recipe: Recipe) -> FrameWork:
    """Return the work on each frame of a request, known from the answer to the one before it."""
    counts = recipe.watch != "regions"
    views = _VIEWS * min(recipe.objects, MOST_FOUND) if counts else 0
    return FrameWork(WATCHES[recipe.watch], float(counts), views)


def _largest(call: str, **parts: str) -> float:
    names = ("objects", "detections", "heat_maps", "frames")
    most = {name: NUMBERS[name][1] for name in names}
    found = price(Recipe(call, side=5_000, format="AVIF", **most, **parts))  # type: ignore[arg-type]
    assert found is not None
    return found


@cache
def limit(role: str) -> float:
    """Return the processor seconds that a request of a role may cost."""
    match role:
        case "catalog":
            largest = {name: NUMBERS[name][1] for name in USED["UpsertProducts"]}
            asked = price(bounded(Recipe("UpsertProducts", **largest)))
            assert asked is not None
            return asked
        case "detect":
            return _largest("DetectProducts")
        case "watch":
            return _largest("SendFrames", watch="both")
        case _:
            return CPU_LIMIT
