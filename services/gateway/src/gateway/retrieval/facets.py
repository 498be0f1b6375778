"""Facets of a search: counts over all products that pass its filter."""

from gateway.model.causes import Peer
from gateway.model.plan import RequestPlan
from gateway.model.query import RequestQuery
from gateway.model.retrieved import NOTHING, BranchResult, failed
from gateway.ports import RetrieverPort
from gateway.state.trace import RequestTrace
from servicekit.errors import ServiceError

FACETS = "facets"


async def count_facets(
    query: RequestQuery, plan: RequestPlan, trace: RequestTrace, retriever: RetrieverPort
) -> BranchResult:
    """Return the requested facets; a failure is noted."""
    if not query.facets:
        return NOTHING
    try:
        async with trace.stage(FACETS, plan.ends.candidates):
            found = await retriever.facets(query.catalog_id, query.facets, plan.scope)
    except ServiceError as error:
        return failed(FACETS, Peer.RETRIEVER, error)
    return BranchResult(facets=found)
