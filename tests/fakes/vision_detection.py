"""The services by which vision finds products in photos, that a test can script."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from servicekit.errors import ServiceError
from servicekit.telemetry import Stages
from sightline.common.v1.product_pb2 import Product
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import RegionMatches
from vision.detection import detect
from vision.domain.detections import (
    CallersFilter,
    CountedSales,
    DetectionAnswer,
    DetectionQuery,
    DrawnHeatMap,
    IndexedSpace,
    PlannedProducts,
    SearchedRegion,
    SentPhoto,
    StoredProduct,
)
from vision.domain.errors import VersionMismatch
from vision.domain.objects import Floats, FoundObjects, SeenObject
from vision.domain.watch_state import ProductReferences
from vision.ports.detecting import DetectionPeers

DAY = 20_000
"""Day on which every product was first stored."""


@dataclass
class FakeObjects:
    """An embedder: photos show their regions, each with a vector of its number."""

    regions: dict[bytes, tuple[PhotoArea, ...]] = field(default_factory=dict)
    """By the bytes of a photo: the first has the highest score."""
    fails: ServiceError | None = None
    small: bool = False
    alike: bool = False
    """True: they look alike, so that they share two views."""
    versions: list[str] = field(default_factory=list)
    """Version requested by each call."""
    compared: list[tuple[float, bytes, str]] = field(default_factory=list)
    """Left side of the object, photo of the product, and version of each comparison."""
    incomparable: dict[int, ServiceError | None] = field(default_factory=dict)
    """Errors of comparisons by their number from 0; `None`: it never ends."""

    async def objects(
        self, catalog_id: str, photo: SentPhoto, version: str, *, most: int, priority: int
    ) -> FoundObjects:
        self.versions.append(version)
        if self.fails is not None:
            raise self.fails
        boxes = self.regions.get(photo.image, ())
        kept = [
            SeenObject(box, np.float32([0 if self.alike else place]), 0.9)
            for place, box in enumerate(boxes[:most])
        ]
        views = 2 * (min(1, len(kept)) if self.alike else len(kept))
        return FoundObjects(version or "v1", kept, views, len(boxes) > most, self.small, 0.25)

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
        number = len(self.compared)
        self.compared.append((box.left, other, version))
        if number in self.incomparable:
            if (error := self.incomparable[number]) is None:
                await asyncio.Event().wait()
            raise error or AssertionError
        return DrawnHeatMap(b"png", 0.5, 0.125, 0.5)


@dataclass
class FakeSearch:
    """A retriever that has p1 to p9 and finds products by the numbers of vectors."""

    nearest_to: dict[int, Mapping[str, float]] = field(default_factory=dict)
    broken: dict[int, ServiceError] = field(default_factory=dict)
    """Errors of searches by the numbers of their vectors."""
    fails: dict[str, ServiceError] = field(default_factory=dict)
    """Errors by method."""
    indexed: list[str] = field(default_factory=lambda: ["v1"])
    """Versions that the index has at each read; the last one remains."""
    failing: dict[str, str] = field(default_factory=dict)
    """Products that do not pass the filter, with the condition that they fail."""
    calls: list[str] = field(default_factory=list)
    filters: list[CallersFilter | None] = field(default_factory=list)

    def _take(self, method: str) -> None:
        self.calls.append(method)
        if method in self.fails:
            raise self.fails[method]

    async def references(self, catalog_id: str, product_ids: Sequence[str]) -> ProductReferences:
        self._take("references")
        return ProductReferences(self.indexed[0] if self.indexed else "")

    async def nearest(
        self, catalog_id: str, vector: Floats, version: str, condition: CallersFilter | None
    ) -> SearchedRegion:
        if len(self.indexed) > 1 and version == self.indexed[0]:
            del self.indexed[0]  # another one is activated meanwhile
        self._take("nearest")
        self.filters.append(condition)
        if self.indexed and version != self.indexed[0]:
            raise VersionMismatch(version, self.indexed[0])
        if (number := int(vector[0])) in self.broken:
            raise self.broken[number]
        near = self.nearest_to.get(number, {})
        photos = [f"image of {item}" for item in near]
        matches = RegionMatches(list(near), list(near.values()), photos)
        return SearchedRegion(matches, IndexedSpace("visual", version, "g1"))

    async def products(
        self, catalog_id: str, product_ids: Sequence[str], condition: CallersFilter | None
    ) -> list[StoredProduct]:
        self._take("products")
        self.filters.append(condition)
        return [StoredProduct(item, DAY, Product(product_id=item)) for item in product_ids]

    async def planned(
        self, catalog_id: str, product_ids: Sequence[str], condition: CallersFilter | None
    ) -> PlannedProducts:
        self._take("planned")
        known = [item for item in product_ids if item.startswith("p")]
        return PlannedProducts(
            {item: DAY for item in known if item not in self.failing},
            frozenset(product_ids) - frozenset(known),
            self.failing,
        )

    async def photo(self, catalog_id: str, image_id: str) -> bytes:
        self._take("photo")
        return f"file of {image_id}".encode()


@dataclass
class FakeSales:
    """A ranker that counted these sales."""

    sold: CountedSales = field(default_factory=lambda: CountedSales(0, 0, {}))
    fails: ServiceError | None = None
    asked: list[Sequence[str]] = field(default_factory=list)

    async def sales(self, catalog_id: str, product_ids: Sequence[str], days: int) -> CountedSales:
        self.asked.append(product_ids)
        if self.fails is not None:
            raise self.fails
        return self.sold


@dataclass
class DetectionShop:
    """The services, scripted."""

    embedder: FakeObjects = field(default_factory=FakeObjects)
    retriever: FakeSearch = field(default_factory=FakeSearch)
    ranker: FakeSales = field(default_factory=FakeSales)
    stages: Stages = field(default_factory=lambda: Stages("vision"))

    @property
    def peers(self) -> DetectionPeers:
        return DetectionPeers(self.embedder, self.retriever, self.ranker)

    async def detect(self, query: DetectionQuery) -> DetectionAnswer:
        """Find the products in a photo."""
        return await detect.detect_products(query, self.peers, self.stages)
