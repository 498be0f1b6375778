"""New products among the candidates: as a branch, by followed attributes, for a scene's exploration
places, or for the ranker's part `content` (`new_candidates`).

Neither behaviour nor popularity finds products that came after the training, so such a scene reads
the newest products from the catalog's record, which has them as soon as they are imported. With
signals it does not: the search finds new products that are near, and those far away are not
relevant.
"""

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED
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


async def newest(run: RequestContext, branch: Branch) -> BranchResult:
    """Return the newest products that pass: of FOLLOWED, those that have a value that the shopper
    follows.

    If the scene gives NEW no weight, those that are new as the scene defines it, which rank after
    all other candidates. No list if there is none, or they can't be read.
    """
    plan, scene = run.plan, run.plan.scene
    scope, explored = plan.scope, branch is Branch.NEW and not scene.branches[branch] > 0
    if branch is Branch.FOLLOWED:
        scope = scope._replace(attribute=(scene.followed_attribute, run.query.followed))
    count = MOST_NEW if explored else min(plan.top_k + len(run.query.left_out), MOST_ASKED)
    try:
        async with run.trace.stage("retrieve", plan.ends.candidates):
            columns = await run.peers.retriever.newest(run.query.catalog_id, scope, count)
    except ServiceError as error:
        return failed(branch, Peer.RETRIEVER, error)
    steps = (f"{branch}: top {count}",)
    if not explored:
        listings = (CandidateList(branch, 1.0, columns),) if columns.product_ids else ()
        return BranchResult(listings, steps=steps)
    since = run.time_micros - scene.diversity.exploration_days * DAY_MICROS
    rows = [row for row, created in enumerate(columns.create_time_micros) if created > since]
    if not rows:
        return NOTHING
    listing = CandidateList(branch, 1.0, gathered([(columns, rows)]), after=BEHIND)
    return BranchResult(new=(listing,), steps=steps)
