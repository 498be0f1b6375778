"""A shopper's last products in place of a request's own, while no model knows the shopper.

Beside a model that was not trained with the shopper, only counts follow them: looks and texts added
nothing there (lab/research/personal.md), and each search has its price.
"""

from collections.abc import Sequence

from gateway.model.causes import Peer
from gateway.model.last_products import MOST_GROUPS, last_products_of
from gateway.model.plan import RequestPlan
from gateway.model.query import AnswerScope
from gateway.model.retrieved import failed, merged
from gateway.retrieval.personal import FromRanker, ask_ranker
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import BY_HISTORY, SIMILARITY_BRANCHES, Branch
from sightline_core.changed import changed


def most_searches(plan: RequestPlan) -> int:
    """Return the number of searches by the shopper's last products, at most."""
    return MOST_GROUPS * len(_searched(plan)) if plan.by_history else 0


def _searched(plan: RequestPlan) -> Sequence[Branch]:
    """Return the branches that search by the shopper's last products."""
    weights = plan.scene.parts_with_history
    return [each for each in BY_HISTORY if each in SIMILARITY_BRANCHES and weights.get(each)]


async def follow_history(run: RequestContext) -> tuple[RequestContext, FromRanker]:
    """Return the run with the shopper's last products as what is searched by, and the ranker's
    response.

    The run is unchanged if the ranker names none, or the record can't be read, which degrades the
    answer.
    """
    given = await ask_ranker(run)
    candidates, notes = given
    if candidates is None or not candidates.last_products:
        return run, given
    try:
        async with run.trace.stage("history", run.plan.ends.candidates):
            columns = await run.peers.retriever.columns(
                run.query.catalog_id, tuple(candidates.last_products), AnswerScope()
            )
    except ServiceError as error:
        return run, (candidates, merged([notes, failed("history", Peer.RETRIEVER, error)]))
    last = last_products_of(candidates.last_products, columns)
    groups = last.groups()
    if not groups:
        return run, given
    return changed(
        run,
        query=changed(run.query, signals=tuple(each for group in groups for each in group)),
        plan=changed(run.plan, branches=(*_searched(run.plan), *run.plan.branches)),
        last_products=last,
    ), given
