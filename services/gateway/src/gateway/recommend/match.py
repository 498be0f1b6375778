"""Whether a request found a good match."""

from collections.abc import Sequence

from gateway.model.answer import Order
from gateway.model.branch import SIMILARITY_BRANCHES
from gateway.model.candidates import Listing
from gateway.model.causes import Cause
from gateway.model.messages import Match
from gateway.ranking.match import Judge, Space
from gateway.state.run import Run


def judge(run: Run, listings: Sequence[Listing], order: Order | None = None) -> Match | None:
    """How good the best match is, by what the scene and the request ask for; None = no signal was
    searched for. `order`: the ranker's."""
    trace, query = run.trace, run.query
    spaces = [Space(each, trace.nearest_cosines.get(each.generation, ())) for each in trace.spaces]
    lost = any(
        failure.stage in SIMILARITY_BRANCHES and failure.cause is not Cause.SPACE_UNAVAILABLE
        for failure in trace.failures
    )
    made = Judge(run.plan.scene, query.min_quality, query.language_code)
    return made.judge(listings, spaces, order, incomplete=lost)
