"""Facets of a search: counts over all products that pass its filter."""

from gateway.model.causes import Peer
from gateway.model.retrieved import NOTHING, BranchResult, failed
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError

FACETS = "facets"


async def count_facets(run: RequestContext) -> BranchResult:
    """Return the requested facets; a failure is noted."""
    if not run.query.facets:
        return NOTHING
    try:
        async with run.trace.stage(FACETS, run.plan.ends.candidates):
            found = await run.peers.retriever.facets(
                run.query.catalog_id, run.query.facets, run.plan.scope
            )
    except ServiceError as error:
        return failed(FACETS, Peer.RETRIEVER, error)
    return BranchResult(facets=found)
