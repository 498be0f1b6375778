"""Candidates that the ranker generates by behaviour, with their columns."""

from collections.abc import Sequence

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED, RequestPlan
from gateway.model.query import AnswerScope, RequestQuery
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.ports import RankerPort, RetrieverPort
from gateway.state.trace import Stage
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


def nominate_request(
    query: RequestQuery,
    plan: RequestPlan,
    shopper: Shopper | None,
    recommenders: Recommenders = NO_RECOMMENDERS,
    *,
    accept_vectors: bool = False,
) -> NominateRequest:
    """Return the request for candidates; without a shopper and recommenders: for popular ones."""
    popular = shopper is None and recommenders is NO_RECOMMENDERS
    return NominateRequest(
        query.catalog_id,
        shopper,
        query.session_id if shopper is not None else "",
        top_k=MOST_ASKED if popular else plan.generated,
        exclude_product_ids=query.left_out[:MOST_ASKED],
        accepts_vectors=accept_vectors,
        recommenders=recommenders,
        model_version=plan.scene.ranking.model,
    )


async def generate(
    order: NominateRequest, branch: Branch, ranker: RankerPort, stage: Stage
) -> tuple[RankerCandidates | None, BranchResult]:
    """Return the ranker's candidates, None if it failed, and notes for the trace.

    `branch`: branch that fails with the call, in addition to the recommenders.
    """
    try:
        async with stage:
            candidates = await ranker.generate(order)
    except ServiceError as error:
        names, only = order.recommenders.names, order.recommenders.only
        lost = names if only and names else (branch, *names)
        return None, merged(failed(each, Peer.RANKER, error) for each in lost)
    if order.shopper is None:
        candidates = changed(candidates, history_token="")
    return candidates, BranchResult(generated=(candidates,), anchors=candidates.anchors)


async def look_up(
    ids: Sequence[str],
    catalog_id: str,
    scope: AnswerScope,
    retriever: RetrieverPort,
    stage: Stage,
    *,
    branch: str,
) -> tuple[ProductColumns | None, BranchResult]:
    """Return the columns of those of the first 1,000 products that pass, and notes for the trace.

    The columns are None if the record can't be read, with which the branch fails.
    """
    if not ids:
        return ProductColumns(), NOTHING
    try:
        async with stage:
            columns = await retriever.columns(catalog_id, ids[:MOST_ASKED], scope)
    except ServiceError as error:
        return None, failed(branch, Peer.RETRIEVER, error)
    return columns, NOTHING
