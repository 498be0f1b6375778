"""The request's own candidates: the only products of its answer."""

import math
from collections.abc import Mapping, Sequence

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable
from gateway.model.plan import MOST_ASKED
from gateway.model.query import GivenCandidate
from gateway.model.retrieved import BranchResult
from gateway.retrieval.fallback import proven
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from servicekit.tasks.parallel import in_parallel
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import gathered


async def given_products(run: RequestContext) -> tuple[CandidateList, ...]:
    """Return the request's candidates that may be in the answer, by score, then as given.

    Ids that are not in the catalog are noted. Without the record, candidates that the snapshot
    proves to pass are returned. Raises errors of the caller, and NothingAvailable without either.
    """
    candidates, scope = _in_order(run.query.candidates), run.plan.scope
    asked, missing = [each.product_id for each in candidates], frozenset[str]()
    parts = [asked[begin : begin + MOST_ASKED] for begin in range(0, len(asked), MOST_ASKED)]
    read, catalog_id = run.peers.retriever.checked, run.query.catalog_id
    try:
        async with run.trace.stage("retrieve", run.plan.ends.candidates):
            found = await in_parallel(*(read(catalog_id, part, scope) for part in parts))
        columns = gathered([(each.columns, range(len(each.columns.product_ids))) for each in found])
        missing = missing.union(*(each.missing for each in found))
    except ServiceError as error:
        run.trace.fail(Branch.GIVEN, Peer.RETRIEVER, error)
        copy = run.snapshot
        columns = await proven(copy, asked, scope)
        if copy is None or not columns.product_ids:
            raise NothingAvailable(run.trace.causes) from error
        run.trace.snapshot_micros = copy.time_micros
    ids, scores = columns.product_ids, _scaled(candidates)
    listing = CandidateList(Branch.GIVEN, 1.0, columns, [scores[item] for item in ids if scores])
    places = enumerate(run.query.candidates)
    run.trace.note(
        BranchResult(
            steps=(f"{Branch.GIVEN}: {len(ids)} of {len(candidates)}",),
            missing={at: each.product_id for at, each in places if each.product_id in missing},
        )
    )
    return (listing,) if ids else ()


def _in_order(candidates: Sequence[GivenCandidate]) -> Sequence[GivenCandidate]:
    """Return candidates by score, then as given; those without a score are last."""
    return sorted(
        candidates,
        key=lambda each: -math.inf if each.score is None else each.score,
        reverse=True,
    )


def _scaled(candidates: Sequence[GivenCandidate]) -> Mapping[str, float]:
    """Return the scores by product, from 0 (lowest, or none) to 1 (highest); empty if no candidate
    has one."""
    scores = [each.score for each in candidates if each.score is not None]
    if not scores:
        return {}
    low, high = min(scores), max(scores)

    def scaled(score: float | None) -> float:
        if score is None:
            return 0.0
        return (score - low) / (high - low) if high > low else 1.0

    return {each.product_id: scaled(each.score) for each in candidates}
