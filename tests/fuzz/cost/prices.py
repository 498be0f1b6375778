"""Prices of requests about photos and frames, and the limits of their roles.

Their price is charged to quotas, but is not rejected above GATEWAY_REQUEST_SECONDS: a photo of a
whole shelf costs more than a search may. So the limit of these roles is the price of the largest
request that the contract takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.model.price import FrameWork, detection_price, frames_price, inspection_price
from retriever.domain.watches import MOST_FOUND
from tests.fuzz.cost.recipes import NUMBERS, WATCHES, Recipe

CPU_LIMIT: Final = 1.0
"""Processor seconds of a request, in all services together, of a role that has no entry here."""
LEAST_PRICE: Final = 0.9
"""Limit of a price, as a share of what the request costs."""
_VIEWS: Final = 2
"""Views of an object."""


def price(recipe: Recipe) -> float | None:
    """Return the price of a request that is about a photo or frames; None of other requests."""
    match recipe.call:
        case "DetectProducts":
            heat_maps = min(recipe.heat_maps, recipe.detections)
            return detection_price(recipe.detections, heat_maps).seconds
        case "Inspect":
            return inspection_price().seconds
        case "SendFrames":
            return frames_price(recipe.frames, work(recipe)).seconds
        case _:
            return None


def work(recipe: Recipe) -> FrameWork:
    """Return the work on each frame of a request, known from the answer to the one before it."""
    counts = recipe.watch != "regions"
    views = _VIEWS * min(recipe.objects, MOST_FOUND) if counts else 0
    return FrameWork(WATCHES[recipe.watch], float(counts), views)


def _largest(call: str, **parts: str) -> float:
    names = ("objects", "detections", "heat_maps", "frames")
    found = price(Recipe(call, **{name: NUMBERS[name][1] for name in names}, **parts))  # type: ignore[arg-type]
    assert found is not None
    return found


LIMITS: Final[Mapping[str, float]] = {
    "detect": _largest("DetectProducts"),
    "inspect": CPU_LIMIT,
    "watch": _largest("SendFrames", watch="both"),
}
"""Processor seconds of a request, by role; others: CPU_LIMIT."""


def limit(role: str) -> float:
    """Return the processor seconds that a request of a role may cost."""
    return LIMITS.get(role, CPU_LIMIT)
