"""The anchors of a request that are in its photo: the products of a shelf, a basket or a look."""

from dataclasses import replace

from gateway.model.causes import Peer
from gateway.model.query import MOST_ANCHORS, RequestQuery, Signal
from gateway.model.scene import Scene
from gateway.recommend.plan_request import branches_of, scened
from gateway.retrieval.embedding import photo_error
from gateway.retrieval.photo_products import PhotoProducts
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.ranking import AnchorSource
from sightline_rules.photo_products import counted

STAGE = "detect"


def gives_anchors(query: RequestQuery, scene: Scene) -> Signal | None:
    """Return the photo whose products are the request's anchors; `None` if there is none: the scene
    takes them from elsewhere, or the request names products itself."""
    if scene.anchors_from is not AnchorSource.PHOTO:
        return None
    named = query.about or query.candidates or query.page_token
    return None if named else query.pictured


async def anchors_in_photo(run: RequestContext) -> RequestContext:
    """Return the run with the products in its photo as its anchors, in place of the photo, if its
    scene takes them from there. Those that the photo shows most often come first.

    A photo in which no product is found, or none can be, is searched as a whole; the latter
    degrades the answer. Raises errors of the caller.
    """
    query, plan, trace = run.query, run.plan, run.trace
    photo = gives_anchors(query, plan.scene)
    if photo is None:
        return run
    asked, until = (query.catalog_id, photo, query.priority), plan.ends.embed
    products = PhotoProducts(*asked, until, run.peers, run.deps.versions, trace)
    try:
        async with trace.stage(STAGE, until):
            trace.detections = await products.find()
    except ServiceError as error:
        if (refused := photo_error(photo, error)) is not None:
            raise refused from error
        unread = error.reason.startswith(Peer.RETRIEVER.upper())
        trace.fail(STAGE, Peer.RETRIEVER if unread else Peer.EMBEDDER, error)
        return run
    anchors = [product_id for product_id, _ in counted(trace.detections)][:MOST_ANCHORS]
    trace.branch_steps.append(f"{STAGE}: {len(anchors)} anchors")
    if not anchors:
        return run
    others = tuple(each for each in query.signals if each is not photo)
    query = scened(replace(query, anchors=tuple(anchors), signals=others), plan.scene)
    return replace(run, query=query, plan=replace(plan, branches=branches_of(query, plan.scene)))
