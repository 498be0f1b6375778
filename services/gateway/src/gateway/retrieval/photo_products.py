"""The products in a request's photo: embed its regions, search each, name those that are
probable."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model.causes import Peer
from gateway.model.peer_failures import cause_of
from gateway.model.peers import EmbeddedRegions
from gateway.model.price import unused_detection_seconds
from gateway.model.query import MOST_IN_PHOTO, AnswerScope, Signal
from gateway.state.request_context import PeerClients, SpaceVersions
from gateway.state.trace import RequestTrace
from servicekit.admission import quotas
from servicekit.admission.quotas import QuotaKind
from servicekit.errors import ServiceError
from servicekit.tasks.parallel import first_alone
from sightline_core.branch import SPACES, Branch
from sightline_core.opaque_messages import Vector
from sightline_core.search import NearestProducts
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import (
    MIN_PROBABILITY,
    SEARCHED,
    SIDE_BY_SIDE,
    Detection,
    RegionMatches,
    arranged,
    matched,
)

VISUAL = SPACES[Branch.VISUAL]


@dataclass(frozen=True, slots=True)
class PhotoProducts:
    """The products in a photo of a request that runs."""

    catalog_id: str
    photo: Signal
    priority: int
    until: float
    """Seconds after the request's start at which they must be found."""
    peers: PeerClients
    versions: SpaceVersions
    trace: RequestTrace

    async def find(self) -> list[Detection]:
        """Find the products, at most MOST_IN_PHOTO, in reading order.

        A search that fails leaves its region without a product. Raises errors of the embedder, and
        of the retriever if no search succeeds, as they are.
        """
        regions, found = await self._searched()
        errors = [each for each in found if isinstance(each, ServiceError)]
        if errors and len(errors) == len(found):
            raise errors[0]
        unused = unused_detection_seconds(MOST_IN_PHOTO, regions.views)
        quotas.spend(QuotaKind.PROCESSOR_SECONDS, -unused)
        every = zip(regions.boxes, regions.objectness, found, strict=True)
        return arranged([_detection(*each) for each in every])

    async def _searched(self) -> tuple[EmbeddedRegions, Sequence[NearestProducts | ServiceError]]:
        """Return the regions, and the products nearest to each, all from one generation.

        The photo is embedded once more if the index holds another version of the space.
        """
        for last in (False, True):
            regions = await self._regions(self.versions.of(self.catalog_id, VISUAL))
            near = await self._near(regions.vectors)
            held = _held(near)
            if last or not held:
                break
            self.versions.learn(self.catalog_id, VISUAL, held)
        return regions, near

    async def _regions(self, version: str) -> EmbeddedRegions:
        embed = self.peers.embedder.embed_regions
        asked = self.catalog_id, self.photo, MOST_IN_PHOTO, self.priority
        async with self.trace.stage("embed", self.until) as note:
            try:
                found = await embed(*asked, version)
            except ServiceError as error:
                if not version or error.reason != "SPACE_VERSION_UNAVAILABLE":
                    raise
                self.versions.forget(self.catalog_id, VISUAL)
                found = await embed(*asked, "")
            note.work = found.work
        return found

    async def _near(self, vectors: Sequence[Vector]) -> list[NearestProducts | ServiceError]:
        """Return the products nearest to each vector, or why they could not be searched. Raise an
        error that the caller caused. Objects that look alike have equal vectors, which are searched
        once."""
        if not vectors:
            return []
        distinct = {vector.data: vector for vector in vectors}
        async with self.trace.stage("retrieve", self.until) as note:
            found = await first_alone([*distinct.values()], self._search, SIDE_BY_SIDE)
            answers = [each for each in found if isinstance(each, NearestProducts)]
            note.work = sum(each.work or 0.0 for each in answers)
        for each in found:
            if isinstance(each, ServiceError):
                cause_of(Peer.RETRIEVER, each)
        near = dict(zip(distinct, found, strict=True))
        return [near[vector.data] for vector in vectors]

    async def _search(self, vector: Vector) -> NearestProducts:
        return await self.peers.retriever.search(
            *(self.catalog_id, vector, AnswerScope()),
            top_k=SEARCHED,
            exclude=(),
            min_index_token="",
        )


def _held(found: Sequence[NearestProducts | ServiceError]) -> str:
    """Return the version that the index holds, if it is another one than that of the vectors."""
    first = found[0] if found else None
    if isinstance(first, ServiceError) and first.reason == "INDEX_VERSION_MISMATCH":
        return first.metadata.get("held", "")
    return ""


def _detection(
    box: PhotoArea, objectness: float, near: NearestProducts | ServiceError
) -> Detection:
    if isinstance(near, ServiceError):
        return Detection(box, objectness)
    alike = frozenset(near.collapsed[0]) if near.collapsed else frozenset[str]()
    ids = near.columns.product_ids
    found = RegionMatches(ids, near.similarities, near.image_ids, alike)
    return matched(box, objectness, found, MIN_PROBABILITY)
