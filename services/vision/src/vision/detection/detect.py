"""Find the products in a photo: embed its objects, search each, merge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.tasks.parallel import first_alone
from servicekit.telemetry import Stages
from sightline_rules.photo_products import SIDE_BY_SIDE, Detection, arranged, counted, matched
from vision.detection.degradations import cause_of
from vision.detection.heat_maps import LACKING, SHARE, STAGE, HeatMapDrawer
from vision.domain.detections import (
    Degradation,
    DegradationCause,
    DetectionAnswer,
    DetectionQuery,
    DrawnHeatMap,
    SearchedRegion,
    StoredProduct,
)
from vision.domain.errors import RetrieverUnavailable
from vision.domain.objects import FoundObjects, SeenObject
from vision.ports.detecting import DetectionPeers

SECONDS: Final = 60.0
"""Seconds for a request without a deadline."""

_RETRIEVER = DegradationCause.RETRIEVER_UNAVAILABLE
_Searched = SearchedRegion | ServiceError


async def detect_products(
    query: DetectionQuery, peers: DetectionPeers, stages: Stages
) -> DetectionAnswer:
    """Find the products in a photo.

    Raises errors of the caller, and of the embedder if it does not answer. A search that fails
    leaves its object without a product, and is reported; so does a heat map that fails, but
    HEAT_MAP_UNAVAILABLE is raised.
    """
    return await _Detecting(query, peers, stages).answer()


@dataclass(frozen=True, slots=True)
class _Detecting:
    """One request while it runs."""

    query: DetectionQuery
    peers: DetectionPeers
    stages: Stages

    async def answer(self) -> DetectionAnswer:
        found, near = await self._searched()
        least = self.query.min_probability
        detections = arranged(
            [_detection(*each, least) for each in zip(found.objects, near, strict=True)]
        )
        counts = counted(detections)
        lost = list(_lost(near))
        products = await self._products([product_id for product_id, _ in counts], lost)
        heat_maps: Mapping[int, DrawnHeatMap] = {}
        if self.query.heat_maps is not None and counts:
            heat_maps = await self._heat_maps(detections, found.version, lost)
        return DetectionAnswer(
            detections,
            counts,
            products,
            heat_maps,
            space=next((each.space for each in near if isinstance(each, SearchedRegion)), None),
            degradations=tuple(dict.fromkeys(lost)),
            embedded_views=found.views,
            truncated=found.truncated,
            small=found.small,
        )

    async def _searched(self) -> tuple[FoundObjects, Sequence[_Searched]]:
        """Return the objects, and the products nearest to each, in the version of the space that
        the index has: once more if it gets another one meanwhile."""
        for last in (False, True):
            found = await self._objects(await self._version())
            near = await self._near(found)
            if last or not any(map(_is_of_another_version, near)):
                break
        return found, near

    async def _version(self) -> str:
        """Return the version that the index has; empty, for the default one, if it is not known."""
        try:
            known = await self.peers.retriever.references(self.query.catalog_id, ())
        except RetrieverUnavailable:
            return ""
        return known.version

    async def _objects(self, version: str) -> FoundObjects:
        query = self.query
        with self.stages.measure("embed"):
            found = await self.peers.embedder.objects(
                query.catalog_id, query.photo, version, most=query.most, priority=query.priority
            )
        self.stages.decoding_seconds += found.decoding_seconds
        return found

    async def _near(self, found: FoundObjects) -> list[_Searched]:
        """Return the products nearest to each object, or why they could not be searched. Objects
        that look alike have equal vectors, which are searched once."""
        if not found.objects:
            return []
        query = self.query

        async def search(each: SeenObject) -> SearchedRegion:
            return await self.peers.retriever.nearest(
                query.catalog_id, each.vector, found.version, query.filter
            )

        keys = [each.vector.tobytes() for each in found.objects]
        distinct = dict(zip(keys, found.objects, strict=True))
        with self.stages.measure("retrieve"):
            near = await first_alone([*distinct.values()], search, SIDE_BY_SIDE)
        by_key = dict(zip(distinct, near, strict=True))
        return [by_key[key] for key in keys]

    async def _products(
        self, product_ids: Sequence[str], lost: list[Degradation]
    ) -> Sequence[StoredProduct]:
        if not product_ids:
            return ()
        query = self.query
        try:
            with self.stages.measure("hydrate"):
                return await self.peers.retriever.products(
                    query.catalog_id, product_ids, query.filter
                )
        except ServiceError as error:
            cause = cause_of(error, _RETRIEVER)
            lost.append(Degradation("hydrate", cause, "products are given by id alone"))
            return ()

    async def _heat_maps(
        self, detections: Sequence[Detection], version: str, lost: list[Degradation]
    ) -> Mapping[int, DrawnHeatMap]:
        """Return the heat maps that were drawn in time, and add what is missing to `lost`."""
        drawer = HeatMapDrawer(self.query, version, self.peers)
        left = deadlines.remaining()
        try:
            with (
                self.stages.measure(STAGE),
                deadlines.TimeLimit(SHARE * (SECONDS if left is None else left), reserve=0.0),
            ):
                await drawer.draw(detections)
        except TimeoutError:
            drawer.lost.append(Degradation(STAGE, DegradationCause.STAGE_DEADLINE, LACKING))
        lost += drawer.lost
        drawn = drawer.drawn.values()
        self.stages.decoding_seconds += sum(each.decoding_seconds for each in drawn)
        return drawer.drawn


def _detection(found: SeenObject, near: _Searched, least: float) -> Detection:
    if isinstance(near, ServiceError):
        return Detection(found.box, found.objectness)
    return matched(found.box, found.objectness, near.matches, least)


def _is_of_another_version(near: _Searched) -> bool:
    return isinstance(near, ServiceError) and near.reason == "INDEX_VERSION_MISMATCH"


def _lost(found: Sequence[_Searched]) -> Iterator[Degradation]:
    """Yield what the answer lacks because of searches. Raise an error that the caller caused."""
    for near in found:
        if isinstance(near, ServiceError):
            cause = cause_of(near, _RETRIEVER)
            yield Degradation("retrieve", cause, "detections without a product")
        else:
            yield from near.degradations
