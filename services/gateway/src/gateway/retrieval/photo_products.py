"""The products in a request's photo: embed its regions, search each, name those that are
probable."""

from collections.abc import Sequence

from gateway.model.causes import Peer
from gateway.model.peer_failures import cause_of
from gateway.model.peers import EmbeddedRegions
from gateway.model.price import unused_detection_seconds
from gateway.model.query import MOST_IN_PHOTO, AnswerScope, Signal
from gateway.state.request_context import RequestContext
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


async def find_products(photo: Signal, run: RequestContext) -> list[Detection]:
    """Find the products in a photo, at most MOST_IN_PHOTO, in reading order.

    A search that fails leaves its region without a product. Raises errors of the embedder, and of
    the retriever if no search succeeds, as they are.
    """
    regions, found = await _searched(photo, run)
    errors = [each for each in found if isinstance(each, ServiceError)]
    if errors and len(errors) == len(found):
        raise errors[0]
    unused = unused_detection_seconds(MOST_IN_PHOTO, regions.views)
    quotas.spend(QuotaKind.PROCESSOR_SECONDS, -unused)
    return arranged(
        [
            _detection(box, objectness, near)
            for box, objectness, near in zip(regions.boxes, regions.objectness, found, strict=True)
        ]
    )


async def _searched(
    photo: Signal, run: RequestContext
) -> tuple[EmbeddedRegions, Sequence[NearestProducts | ServiceError]]:
    """Return the regions, and the products nearest to each, all from one generation.

    The photo is embedded once more if the index holds another version of the space.
    """
    versions, catalog_id = run.deps.versions, run.query.catalog_id
    for last in (False, True):
        regions = await _regions(photo, run, versions.of(catalog_id, VISUAL))
        near = await _near(regions.vectors, run)
        held = _held(near)
        if last or not held:
            break
        versions.learn(catalog_id, VISUAL, held)
    return regions, near


def _held(found: Sequence[NearestProducts | ServiceError]) -> str:
    """Return the version that the index holds, if it is another one than that of the vectors."""
    first = found[0] if found else None
    if isinstance(first, ServiceError) and first.reason == "INDEX_VERSION_MISMATCH":
        return first.metadata.get("held", "")
    return ""


async def _regions(photo: Signal, run: RequestContext, version: str) -> EmbeddedRegions:
    query, embed = run.query, run.peers.embedder.embed_regions
    asked = query.catalog_id, photo, MOST_IN_PHOTO, query.priority
    async with run.trace.stage("embed", run.plan.ends.embed) as note:
        try:
            found = await embed(*asked, version)
        except ServiceError as error:
            if not version or error.reason != "SPACE_VERSION_UNAVAILABLE":
                raise
            run.deps.versions.forget(query.catalog_id, VISUAL)
            found = await embed(*asked, "")
        note.work = found.work
    return found


async def _near(
    vectors: Sequence[Vector], run: RequestContext
) -> list[NearestProducts | ServiceError]:
    """Return the products nearest to each vector, or why they could not be searched. Raise an error
    that the caller caused. Objects that look alike have equal vectors, which are searched once."""
    if not vectors:
        return []

    async def search(vector: Vector) -> NearestProducts:
        return await run.peers.retriever.search(
            *(run.query.catalog_id, vector, AnswerScope()),
            top_k=SEARCHED,
            exclude=(),
            min_index_token="",
        )

    distinct = {vector.data: vector for vector in vectors}
    async with run.trace.stage("retrieve", run.plan.ends.embed) as note:
        found = await first_alone([*distinct.values()], search, SIDE_BY_SIDE)
        answers = [each for each in found if isinstance(each, NearestProducts)]
        note.work = sum(each.work or 0.0 for each in answers)
    for each in found:
        if isinstance(each, ServiceError):
            cause_of(Peer.RETRIEVER, each)
    near = dict(zip(distinct, found, strict=True))
    return [near[vector.data] for vector in vectors]


def _detection(
    box: PhotoArea, objectness: float, near: NearestProducts | ServiceError
) -> Detection:
    if isinstance(near, ServiceError):
        return Detection(box, objectness)
    alike = frozenset(near.collapsed[0]) if near.collapsed else frozenset[str]()
    ids = near.columns.product_ids
    found = RegionMatches(ids, near.similarities, near.image_ids, alike)
    return matched(box, objectness, found, MIN_PROBABILITY)
