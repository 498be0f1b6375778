"""The anchors of a request that are in its photo: the products of a shelf, a basket or a look."""

from dataclasses import replace

from gateway.model.causes import Peer
from gateway.model.detections import DetectionQuery, counted
from gateway.model.query import MOST_ANCHORS, MOST_IN_PHOTO, Signal
from gateway.recommend.plan_request import branches_of, scened
from gateway.retrieval.embedding import photo_error
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.ranking import AnchorSource

STAGE = "detect"


def gives_anchors(run: RequestContext) -> Signal | None:
    """Return the photo whose products are the request's anchors; `None` if there is none: the scene
    takes them from elsewhere, or the request names products itself."""
    if run.plan.scene.anchors_from is not AnchorSource.PHOTO:
        return None
    query = run.query
    named = query.about or query.candidates or query.page_token
    return None if named else query.pictured


async def anchors_in_photo(run: RequestContext) -> RequestContext:
    """Return the run with the products in its photo as its anchors, in place of the photo, if its
    scene takes them from there. Those that the photo shows most often come first.

    A photo in which no product is found, or none can be, is searched as a whole; the latter
    degrades the answer. Raises errors of the caller.
    """
    photo, find = gives_anchors(run), run.deps.find_products
    if photo is None or find is None:
        return run
    query = run.query
    asked = DetectionQuery(
        query.catalog_id, photo, max_detections=MOST_IN_PHOTO, priority=query.priority
    )
    try:
        async with run.trace.stage(STAGE, run.plan.ends.embed):
            run.trace.detections = await find(run, asked)
    except ServiceError as error:
        if (refused := photo_error(photo, error)) is not None:
            raise refused from error
        unread = error.reason.startswith(Peer.RETRIEVER.upper())
        run.trace.fail(STAGE, Peer.RETRIEVER if unread else Peer.EMBEDDER, error)
        return run
    return _anchored(run, photo)


def _anchored(run: RequestContext, photo: Signal) -> RequestContext:
    """Return the run with its detections as anchors in place of the photo."""
    anchors = [product_id for product_id, _ in counted(run.trace.detections)][:MOST_ANCHORS]
    run.trace.branch_steps.append(f"{STAGE}: {len(anchors)} anchors")
    if not anchors:
        return run
    scene = run.plan.scene
    others = tuple(each for each in run.query.signals if each is not photo)
    query = scened(replace(run.query, anchors=tuple(anchors), signals=others), scene)
    plan = replace(run.plan, branches=branches_of(query, scene))
    return replace(run, query=query, plan=plan)
