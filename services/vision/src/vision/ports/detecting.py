"""The embedder, the retriever and the ranker, as finding products in photos uses them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sightline_rules.photo_areas import PhotoArea
from vision.domain.detections import (
    CallersFilter,
    CountedSales,
    DrawnHeatMap,
    PlannedProducts,
    SearchedRegion,
    SentPhoto,
    StoredProduct,
)
from vision.domain.objects import Floats, FoundObjects
from vision.ports.watching import ProductVectors


class PhotoObjects(Protocol):
    """The embedder. Calls raise EmbedderUnavailable, ImageRejected, ImageUnreadable, and its other
    errors as they are."""

    async def objects(
        self, catalog_id: str, photo: SentPhoto, version: str, *, most: int, priority: int
    ) -> FoundObjects:
        """Return the objects in a photo with their vectors. `version`: of the visual space; empty:
        the default one."""

    async def compare(
        self,
        catalog_id: str,
        photo: SentPhoto,
        box: PhotoArea,
        other: bytes,
        *,
        version: str,
        priority: int,
    ) -> DrawnHeatMap:
        """Compare an object in a photo with a photo of a product."""


class ProductSearch(ProductVectors, Protocol):
    """The retriever. Calls raise RetrieverUnavailable, and its other errors as they are.

    `condition`: the filter that products must pass; None: all pass.
    """

    async def nearest(
        self, catalog_id: str, vector: Floats, version: str, condition: CallersFilter | None
    ) -> SearchedRegion:
        """Return the products nearest to a vector of the visual space."""

    async def products(
        self, catalog_id: str, product_ids: Sequence[str], condition: CallersFilter | None
    ) -> Sequence[StoredProduct]:
        """Return those of up to 1,000 products that exist and pass, in this order."""

    async def planned(
        self, catalog_id: str, product_ids: Sequence[str], condition: CallersFilter | None
    ) -> PlannedProducts:
        """Return which of up to 1,000 products exist and pass, and why others don't."""

    async def photo(self, catalog_id: str, image_id: str) -> bytes:
        """Return the file of a product's photo."""


class SalesCounts(Protocol):
    """The ranker."""

    async def sales(self, catalog_id: str, product_ids: Sequence[str], days: int) -> CountedSales:
        """Return the units of up to 1,000 products that were sold on each of the last whole days.
        Raises RankerUnavailable."""


@dataclass(frozen=True, slots=True)
class DetectionPeers:
    """The services by which products are found in photos."""

    embedder: PhotoObjects
    retriever: ProductSearch
    ranker: SalesCounts
