"""New products among the candidates: as a branch, by followed attributes, for a scene's exploration
places, or for the ranker's part `content` (`new_candidates`).

Neither behaviour nor popularity finds products that came after the training, so such a scene reads
the newest products from the catalog's record, which has them as soon as they are imported. With
signals it does not: the search finds new products that are near, and those far away are not
relevant.
"""

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED
from gateway.model.query import AnswerScope
from gateway.model.retrieved import NOTHING, BranchResult, failed
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import gathered

MOST_NEW = 100
"""Maximum number of newest products for exploration places and `new_candidates`."""
BEHIND = 1_000_000
"""Number of places before theirs in the fused order, which decides if there is no ranker: they come
after all other candidates, regardless of weights."""
DAY_MICROS = 86_400_000_000


async def newest(run: RequestContext) -> BranchResult:
    """Return the newest products that pass, as ordinary candidates."""
    return await _listed(run, Branch.NEW, run.plan.scope)


async def of_followed(run: RequestContext) -> BranchResult:
    """Return the newest products that have a value that the shopper follows."""
    attribute = (run.plan.scene.followed_attribute, run.query.followed)
    return await _listed(run, Branch.FOLLOWED, run.plan.scope._replace(attribute=attribute))


async def _listed(run: RequestContext, branch: Branch, scope: AnswerScope) -> BranchResult:
    count = min(run.plan.top_k + len(run.query.left_out), MOST_ASKED)
    try:
        async with run.trace.stage("retrieve", run.plan.ends.candidates):
            columns = await run.peers.retriever.newest(run.query.catalog_id, scope, count)
    except ServiceError as error:
        return failed(branch, Peer.RETRIEVER, error)
    listings = (CandidateList(branch, 1.0, columns),) if columns.product_ids else ()
    return BranchResult(listings, steps=(f"{branch}: top {count}",))


async def new_products(run: RequestContext) -> BranchResult:
    """Return the newest products that pass and are new as the scene defines it.

    They rank after all other candidates. No list if none is new or they can't be read.
    """
    since = run.time_micros - run.plan.scene.diversity.exploration_days * DAY_MICROS
    try:
        async with run.trace.stage("retrieve", run.plan.ends.candidates):
            columns = await run.peers.retriever.newest(
                run.query.catalog_id, run.plan.scope, MOST_NEW
            )
    except ServiceError as error:
        return failed(Branch.NEW, Peer.RETRIEVER, error)
    rows = [row for row, created in enumerate(columns.create_time_micros) if created > since]
    if not rows:
        return NOTHING
    listing = CandidateList(Branch.NEW, 1.0, gathered([(columns, rows)]), after=BEHIND)
    return BranchResult(new=(listing,), steps=(f"{Branch.NEW}: top {MOST_NEW}",))
