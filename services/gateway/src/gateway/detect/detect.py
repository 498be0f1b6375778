"""Find the products in a photo: embed its regions, search each, merge."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.detect.heat_maps import LACKING, SHARE, STAGE, HeatMapDrawer
from gateway.detect.matching import arranged, matched
from gateway.detect.validate import check
from gateway.model.causes import Peer
from gateway.model.detections import (
    MOST_ALTERNATIVES,
    Detection,
    DetectionAnswer,
    DetectionQuery,
    counted,
)
from gateway.model.errors import StageLate
from gateway.model.peer_failures import cause_of
from gateway.model.peers import EmbeddedRegions
from gateway.model.price import detection_price, unused_detection_seconds
from gateway.retrieval.embedding import photo_error
from gateway.retrieval.parallel import in_parallel
from gateway.state.request_context import RequestDependencies
from gateway.state.trace import RequestTrace
from servicekit import deadlines
from servicekit.admission import quotas
from servicekit.admission.quotas import QuotaKind
from servicekit.errors import ServiceError
from sightline_core.branch import SPACES, Branch
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.opaque_messages import ProductRow, Vector
from sightline_core.search import NearestProducts

SIDE_BY_SIDE = 8
"""Searches of one request that run at once."""
ROUNDS = 2
"""Times that the photo is embedded, at most: once more if the index holds another version."""
ENOUGH = MOST_ALTERNATIVES + 2
"""Products of a search: near-duplicates of the nearest are not alternatives."""
VISUAL = SPACES[Branch.VISUAL]


async def detect_products(query: DetectionQuery, deps: RequestDependencies) -> DetectionAnswer:
    """Find the products in a photo.

    Raises errors of the caller, and of the embedder if it does not answer. A search that fails
    leaves its region without a product, and is reported; so does a heat map that fails, but
    HEAT_MAP_UNAVAILABLE is raised.
    """
    check(query, deps.catalogs)
    try:
        with deps.in_time(deps.detect_seconds):
            price = detection_price(query.most, query.most_heat_maps, query.photo.image)
            async with deps.prices.charged(price, query.catalog_id):
                return await _Detecting(query, deps, RequestTrace()).answer()
    except ServiceError as error:
        raise photo_error(query.photo, error) or error from error


async def find_products(
    query: DetectionQuery, deps: RequestDependencies, trace: RequestTrace
) -> Sequence[Detection]:
    """Find the products in a photo of a request that runs: it is checked, charged and timed.

    Raises errors of the embedder, and of the retriever if no search succeeds, as they are.
    """
    return await _Detecting(query, deps, trace).detections()


@dataclass(frozen=True, slots=True)
class _Detecting:
    """One request while it runs."""

    query: DetectionQuery
    deps: RequestDependencies
    trace: RequestTrace

    async def answer(self) -> DetectionAnswer:
        regions, found = await self._searched()
        detections = self._arranged(regions, found)
        counts = counted(detections)
        degradations = _lost(found)
        rows: Sequence[ProductRow] = ()
        try:
            rows = await self._rows([product_id for product_id, _ in counts])
        except ServiceError as error:
            cause = cause_of(Peer.RETRIEVER, error)
            degradations.append(Degradation("hydrate", cause, "products are given by id alone"))
        if self.query.heat_maps is not None and counts:
            version = regions.vectors[0].space_version
            detections, lost = await self._with_heat_maps(detections, version)
            degradations += lost
        searched = [near for near in found if isinstance(near, NearestProducts)]
        return DetectionAnswer(
            detections,
            counts,
            rows,
            space=searched[0].space if searched else None,
            degradations=list(dict.fromkeys(degradations)),
            timings=self.trace.by_start,
            truncated=regions.truncated,
            small=regions.small,
        )

    async def detections(self) -> Sequence[Detection]:
        regions, found = await self._searched()
        errors = [each for each in found if isinstance(each, ServiceError)]
        if errors and len(errors) == len(found):
            raise errors[0]
        return self._arranged(regions, found)

    def _arranged(
        self, regions: EmbeddedRegions, found: Sequence[NearestProducts | ServiceError]
    ) -> Sequence[Detection]:
        return arranged(
            [
                Detection(box, objectness)
                if isinstance(near, ServiceError)
                else matched(box, objectness, near, self.query.min_probability)
                for box, objectness, near in zip(
                    regions.boxes, regions.objectness, found, strict=True
                )
            ]
        )

    async def _searched(self) -> tuple[EmbeddedRegions, Sequence[NearestProducts | ServiceError]]:
        """Return the regions, and the products nearest to each, all from one generation.

        The photo is embedded again if the index holds another version of the space.
        """
        versions, catalog_id = self.deps.versions, self.query.catalog_id
        for last in (*[False] * (ROUNDS - 1), True):
            regions = await self._regions(versions.of(catalog_id, VISUAL))
            try:
                near = await self._near(regions.vectors)
            except ServiceError as error:
                held = error.metadata.get("held", "")
                if last or error.reason != "INDEX_VERSION_MISMATCH" or not held:
                    raise
                versions.learn(catalog_id, VISUAL, held)
            else:
                unused = unused_detection_seconds(self.query.most, regions.views)
                quotas.spend(QuotaKind.PROCESSOR_SECONDS, -unused)
                return regions, near
        raise AssertionError("the last round returns or raises")

    async def _regions(self, version: str) -> EmbeddedRegions:
        query, embedder = self.query, self.deps.peers.embedder
        async with self.trace.stage("embed", self._until) as note:
            try:
                found = await embedder.embed_regions(
                    query.catalog_id, query.photo, query.most, query.priority, version
                )
            except ServiceError as error:
                if not version or error.reason != "SPACE_VERSION_UNAVAILABLE":
                    raise
                self.deps.versions.forget(query.catalog_id, VISUAL)
                found = await embedder.embed_regions(
                    query.catalog_id, query.photo, query.most, query.priority, ""
                )
            note.work = found.work
        return found

    async def _near(self, vectors: Sequence[Vector]) -> list[NearestProducts | ServiceError]:
        """Return the products nearest to each vector, or why they could not be searched. Raise the
        error if the index holds another version, or if the caller caused it. Objects that look
        alike have equal vectors, which are searched once."""
        if not vectors:
            return []
        distinct = {vector.data: vector for vector in vectors}
        async with self.trace.stage("retrieve", self._until) as note:
            # The first search tells whether the index answers, and holds this version at all.
            first, *others = distinct.values()
            try:
                near = await self._search(first)
            except ServiceError as error:
                if error.reason == "INDEX_VERSION_MISMATCH":
                    raise
                cause_of(Peer.RETRIEVER, error)
                return [error] * len(vectors)
            turn = asyncio.Semaphore(SIDE_BY_SIDE)
            rest = await in_parallel(*(self._kept(each, turn) for each in others))
            found = dict(zip(distinct, (near, *rest), strict=True))
            answers = [each for each in found.values() if isinstance(each, NearestProducts)]
            note.work = sum(each.work or 0.0 for each in answers)
        return [found[vector.data] for vector in vectors]

    async def _kept(
        self, vector: Vector, turn: asyncio.Semaphore
    ) -> NearestProducts | ServiceError:
        async with turn:
            try:
                return await self._search(vector)
            except ServiceError as error:
                cause_of(Peer.RETRIEVER, error)
                return error

    async def _search(self, vector: Vector) -> NearestProducts:
        return await self.deps.peers.retriever.search(
            self.query.catalog_id,
            vector,
            self.query.scope,
            top_k=ENOUGH,
            exclude=(),
            min_index_token="",
        )

    async def _with_heat_maps(
        self, detections: Sequence[Detection], version: str
    ) -> tuple[list[Detection], list[Degradation]]:
        """Return the detections with the heat maps that were drawn in time, and what they lack."""
        peers = self.deps.peers
        drawer = HeatMapDrawer(self.query, version, peers.embedder, peers.retriever)
        elapsed = self.trace.elapsed
        try:
            async with self.trace.stage(STAGE, elapsed + SHARE * (self._until - elapsed)):
                await drawer.draw(detections)
        except StageLate:
            drawer.lost.append(Degradation(STAGE, DegradationCause.STAGE_DEADLINE, LACKING))
        return drawer.added(detections), drawer.lost

    async def _rows(self, ids: Sequence[str]) -> Sequence[ProductRow]:
        if not ids:
            return ()
        async with self.trace.stage("hydrate", self._until):
            found = await self.deps.peers.retriever.products(
                self.query.catalog_id, ids, self.query.scope
            )
        return found.rows

    @property
    def _until(self) -> float:
        """Seconds after the request's start at which it must end."""
        left = deadlines.remaining()
        return self.trace.elapsed + (self.deps.detect_seconds if left is None else left)


def _lost(found: Sequence[NearestProducts | ServiceError]) -> list[Degradation]:
    """Return what the answer lacks because of searches."""
    lost = list[Degradation]()
    for near in found:
        if isinstance(near, ServiceError):
            cause = cause_of(Peer.RETRIEVER, near)
            lost.append(Degradation("retrieve", cause, "detections without a product"))
        else:
            lost += near.degradations
    return lost
