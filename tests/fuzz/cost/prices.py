"""Prices of requests about photos, frames and written products, and the limits of their roles.

Their price is charged to quotas, but what models take of it is not rejected above
GATEWAY_REQUEST_SECONDS: a photo of a whole shelf, and a hundred texts, cost more than a search may.
So the limit of these roles is the price of the largest request that the contract takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from gateway.model.photo_header import decoding_seconds
from gateway.servicer.declared_prices import DeclaredPrice
from gateway.servicer.write_prices import PRICES
from servicekit.admission.access import PeerName
from servicekit.rpc import owned
from sightline.common.v1 import price_pb2
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest
from sightline.vision.v1.detection_service_pb2 import DetectProductsRequest
from sightline.vision.v1.inspection_service_pb2 import InspectRequest
from sightline.vision.v1.watch_service_pb2 import SendFramesRequest
from tests.fuzz.cost.recipes import NUMBERS, USED, WATCHES, Recipe, bounded, photo_of
from vision.adapters.embedder import FINDING, PART, VIEW
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
            maps = {"max_heat_maps": recipe.heat_maps} if recipe.heat_maps else None
            asked = DetectProductsRequest(max_detections=recipe.detections, heat_maps=maps)
            asked.image = photo_of(recipe, 0)
            return declared(recipe.call).of(asked).seconds
        case "Inspect":
            return declared(recipe.call).of(InspectRequest(image=photo_of(recipe, 0))).seconds
        case "SendFrames":
            return _frames_price(recipe)
        case "UpsertProducts":
            return PRICES[recipe.call](UpsertProductsRequest.FromString(recipe.build(0)), 0).seconds
        case _:
            return None


def declared(call: str) -> DeclaredPrice:
    """Return the price that a call of vision declares, with nothing learned."""
    (method,) = (each for each in owned.methods_of(PeerName.VISION) if each.name == call)
    return DeclaredPrice(method.GetOptions().Extensions[price_pb2.price], method.input_type)


@dataclass(frozen=True, slots=True)
class FrameWork:
    """Work on one frame of a watch."""

    parts: int
    """Parts that are embedded."""
    finds: bool
    """True: objects are looked for."""
    views: int
    """Views of these objects that are embedded."""

    def seconds(self, frame: bytes) -> float:
        """Return the processor seconds that a frame takes, as earlier ones of the watch did: one in
        which objects are looked for is decoded twice more."""
        decoding = 0.03 + max(0.0, decoding_seconds(frame) - 0.03) * (3 if self.finds else 1)
        finding = 0.1 + FINDING if self.finds else 0.0
        return decoding + self.parts * (0.01 + PART) + finding + self.views * VIEW


def work(recipe: Recipe) -> FrameWork:
    """Return the work on each frame of a request."""
    finds = recipe.watch != "regions"
    views = _VIEWS * min(recipe.objects, MOST_FOUND) if finds else 0
    return FrameWork(WATCHES[recipe.watch], finds, views)


def _frames_price(recipe: Recipe) -> float:
    """Return the price of frames like those that the watch got before."""
    frame, price = photo_of(recipe, 0), declared("SendFrames")
    asked = SendFramesRequest(watch_id=recipe.watch, frames=[{"image": frame}] * recipe.frames)
    price.learn(asked, recipe.frames * work(recipe).seconds(frame))
    return price.of(asked).seconds


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
