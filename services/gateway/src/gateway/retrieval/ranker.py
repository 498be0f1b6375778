"""Candidates that the ranker generates by behaviour, and their columns of the record."""

from dataclasses import replace

from gateway.model.branch import Branch
from gateway.model.causes import Peer
from gateway.model.columns import Columns
from gateway.model.peers import RankerCandidates
from gateway.model.plan import MOST_ASKED
from gateway.model.query import Shopper
from gateway.model.retrieved import NOTHING, BranchResult, failed
from gateway.state.run import Run
from servicekit.errors import ServiceError


async def generate(
    run: Run,
    shopper: Shopper | None,
    branch: Branch,
    until: float,
    *,
    accept_vectors: bool = False,
) -> tuple[RankerCandidates | None, BranchResult]:
    """The ranker's candidates, None where they could not be had; and what is to be noted."""
    try:
        async with run.trace.stage("nominate", until):
            candidates = await run.peers.ranker.generate(
                run.query.catalog_id,
                shopper,
                run.query.session_id if shopper is not None else "",
                top_k=run.plan.generated if shopper is not None else MOST_ASKED,
                exclude=run.query.left_out[:MOST_ASKED],
                accept_vectors=accept_vectors,
            )
    except ServiceError as error:
        return None, failed(branch, Peer.RANKER, error)
    if shopper is None:
        candidates = replace(candidates, history_token="")
    return candidates, BranchResult(generated=(candidates,))


async def look_up(
    run: Run, candidates: RankerCandidates, branch: Branch, until: float
) -> tuple[Columns | None, BranchResult]:
    """The columns of candidates that pass the filter, None where the record could not be read; and
    what is to be noted."""
    if not candidates.product_ids:
        return Columns(), NOTHING
    try:
        async with run.trace.stage("hydrate", until):
            ids = candidates.product_ids[:MOST_ASKED]
            columns = await run.peers.retriever.columns(run.query.catalog_id, ids, run.plan.scope)
    except ServiceError as error:
        return None, failed(branch, Peer.RETRIEVER, error)
    return columns, NOTHING
