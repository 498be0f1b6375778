"""Prices of requests about photos and frames, and the limits of their roles.

Their price is charged to quotas, but is not rejected above GATEWAY_REQUEST_SECONDS: a photo of a
whole shelf costs more than a search may. So the limit of these roles is the price of the largest
request that the contract takes.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from gateway.model.price import FrameWork, detection_price, frames_price, inspection_price
from tests.fuzz.cost.recipes import NUMBERS, WATCHES, Recipe, photo_of
from vision.domain.watches import MOST_FOUND

CPU_LIMIT: Final = 1.0
"""Processor seconds of a request, in all services together, of roles without their own limit."""
ROLES_PRICED: Final = ("detect", "inspect", "watch")
"""Roles whose requests are about photos and frames."""
LEAST_PRICE: Final = 0.9
"""Limit of a price, as a share of what the request costs."""
_VIEWS: Final = 2
"""Views of an object."""


def price(recipe: Recipe) -> float | None:
    """Return the price of a request that is about a photo or frames; None of other requests. It is
    that of a flat photo of the same sides and format."""
    match recipe.call:
        case "DetectProducts":
            heat_maps = min(recipe.heat_maps, recipe.detections)
            return detection_price(recipe.detections, heat_maps, photo_of(recipe, 0)).seconds
        case "Inspect":
            return inspection_price(photo_of(recipe, 0)).seconds
        case "SendFrames":
            shown = [photo_of(recipe, 0)] * recipe.frames
            return frames_price(recipe.frames, work(recipe), shown).seconds
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
        case "detect":
            return _largest("DetectProducts")
        case "watch":
            return _largest("SendFrames", watch="both")
        case _:
            return CPU_LIMIT
