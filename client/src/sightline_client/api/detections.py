"""Products in photos that show several."""

from collections.abc import Iterable

from sightline.vision.v1 import detection_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, shelf_plans, to_wire
from sightline_client.values.detections import Detections
from sightline_client.values.filters import Filter
from sightline_client.values.parts import HeatMapOptions, PlannedProduct
from sightline_client.values.photos import Photo, load
from sightline_client.values.shelf_plans import StockOptions


class DetectionCalls(Connected):
    """Calls that find products in photos."""

    async def detect_products(
        self,
        image: Photo,
        *,
        filter: Filter | None = None,
        market: str = "",
        min_probability: float = 0.5,
        max_detections: int = 0,
        plan: Iterable[PlannedProduct] = (),
        stock: StockOptions | None = None,
        heat_maps: HeatMapOptions | None = None,
        timeout: float | None = None,
    ) -> Detections:
        """Find the products in a photo: where each stands, which it is, and how many there are.

        Args:
            image: The photo, such as one of a shelf.
            filter: Products that may be found; None = all.
            market: Id of the market whose products may be found; "" = no market.
            min_probability: Probability that a detection needs for a product, 0 to 1.
            max_detections: Maximum number of detections, 1 to 300; 0 = 100.
            plan: The shelf as it should be, to compare the photo with; () = nothing is compared.
            stock: What quantities to reorder are calculated for; None = none are suggested. Needs
                the role ``read``.
            heat_maps: Detections whose heat maps are drawn; None = none. Each is priced as one of
                ``heat_map``, and needs the role ``read``. FailedPrecondition
                (HEAT_MAP_UNAVAILABLE) when the space has no positions.
            timeout: Timeout in seconds; None = the client's own.
        """
        photo = await load(image)
        with to_wire.sendable("request"):
            request = pb.DetectProductsRequest(
                catalog_id=self.catalog,
                filter=to_wire.filter_(filter),
                min_probability=min_probability,
                max_detections=max_detections,
                **to_wire.photo(photo),
            )
            if heat_maps is not None:
                request.heat_maps.SetInParent()
                request.heat_maps.product_ids.extend(heat_maps.product_ids)
                request.heat_maps.max_heat_maps = heat_maps.max_heat_maps
            if market:
                request.filter.market_id = market
        if planned := tuple(plan):
            request.plan.CopyFrom(shelf_plans.plan(planned))
        if stock is not None:
            request.stock.CopyFrom(shelf_plans.stock(stock))
        method = self.calls.detection.DetectProducts
        return from_wire.detections(await self._call(method, request, timeout))
