"""Candidates that the ranker generates by behaviour, with their columns."""

from collections.abc import Sequence

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import Branch
from sightline_core.changed import changed
from sightline_core.columns import ProductColumns
from sightline_core.ranking import (
    NO_RECOMMENDERS,
    NominateRequest,
    RankerCandidates,
    Recommenders,
)
from sightline_core.shoppers import Shopper


async def generate(
    run: RequestContext,
    shopper: Shopper | None,
    branch: Branch,
    until: float,
    *,
    accept_vectors: bool = False,
    recommenders: Recommenders = NO_RECOMMENDERS,
) -> tuple[RankerCandidates | None, BranchResult]:
    """Return the ranker's candidates, None if it failed, and notes for the trace.

    `branch`: branch that fails with the call, in addition to the recommenders.
    """
    popular = shopper is None and recommenders is NO_RECOMMENDERS
    try:
        async with run.trace.stage("nominate", until):
            order = NominateRequest(
                run.query.catalog_id,
                shopper,
                run.query.session_id if shopper is not None else "",
                top_k=MOST_ASKED if popular else run.plan.generated,
                exclude_product_ids=run.query.left_out[:MOST_ASKED],
                accepts_vectors=accept_vectors,
                recommenders=recommenders,
                model_version=run.plan.scene.ranking.model,
            )
            candidates = await run.peers.ranker.generate(order)
    except ServiceError as error:
        own = () if recommenders.only and recommenders.names else (branch,)
        lost = (*own, *recommenders.names)
        return None, merged(failed(each, Peer.RANKER, error) for each in lost)
    if shopper is None:
        candidates = changed(candidates, history_token="")
    return candidates, BranchResult(generated=(candidates,), anchors=candidates.anchors)


async def look_up(
    run: RequestContext, ids: Sequence[str], branch: str, until: float
) -> tuple[ProductColumns | None, BranchResult]:
    """Return the columns of those of the first 1,000 products that pass the filter, and notes for
    the trace.

    The columns are None if the record can't be read.
    """
    if not ids:
        return ProductColumns(), NOTHING
    try:
        async with run.trace.stage("hydrate", until):
            columns = await run.peers.retriever.columns(
                run.query.catalog_id, ids[:MOST_ASKED], run.plan.scope
            )
    except ServiceError as error:
        return None, failed(branch, Peer.RETRIEVER, error)
    return columns, NOTHING
