"""Products in photos that show several.

Made by generate_sync.py from
api/detections.py: change that one and run it.
"""

from collections.abc import Iterable

from sightline_client._generated.base import SyncConnected
from sightline_client.values.detections import Detections
from sightline_client.values.filters import Filter
from sightline_client.values.parts import HeatMapOptions, PlannedProduct
from sightline_client.values.photos import Photo
from sightline_client.values.shelf_plans import StockOptions


class SyncDetectionCalls(SyncConnected):
    """Products in photos that show several."""

    def detect_products(
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
        return self._loop.run(
            self._client.detect_products(
                image,
                filter=filter,
                market=market,
                min_probability=min_probability,
                max_detections=max_detections,
                plan=plan,
                stock=stock,
                heat_maps=heat_maps,
                timeout=timeout,
            )
        )
