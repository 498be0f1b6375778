"""A shopper's last products in place of a request's own, while no model knows the shopper.

Beside a model that was not trained with the shopper, only counts follow them: looks and texts added
nothing there (lab/research/personal.md), and each search has its price.
"""

from collections.abc import Sequence
from itertools import chain

from gateway.model.last_products import MOST_GROUPS, LastProducts, last_products_of
from gateway.model.plan import RequestPlan
from gateway.model.query import AnswerScope, RequestQuery
from gateway.model.retrieved import merged
from gateway.ports import RetrieverPort
from gateway.retrieval.personal import FromRanker
from gateway.retrieval.ranker_candidates import look_up
from gateway.state.trace import Stage
from sightline_core.branch import BY_HISTORY, SIMILARITY_BRANCHES, Branch
from sightline_core.changed import changed


def most_searches(plan: RequestPlan) -> int:
    """Return the number of searches by the shopper's last products, at most."""
    return MOST_GROUPS * len(_searched(plan)) if plan.by_history else 0


def _searched(plan: RequestPlan) -> Sequence[Branch]:
    """Return the branches that search by the shopper's last products."""
    weights = plan.scene.parts_with_history
    return [each for each in BY_HISTORY if each in SIMILARITY_BRANCHES and weights.get(each)]


async def read_last_products(
    given: FromRanker, catalog_id: str, retriever: RetrieverPort, stage: Stage
) -> tuple[LastProducts, FromRanker]:
    """Return the last products that the ranker names, and its response.

    There are none if the record can't be read, which degrades the answer.
    """
    candidates, notes = given
    if candidates is None or not candidates.last_products:
        return LastProducts(), given
    ids, scope = tuple(candidates.last_products), AnswerScope()
    columns, lost = await look_up(ids, catalog_id, scope, retriever, stage, branch="history")
    if columns is None:
        return LastProducts(), (candidates, merged([notes, lost]))
    return last_products_of(candidates.last_products, columns), given


def by_last_products(
    query: RequestQuery, plan: RequestPlan, last: LastProducts
) -> tuple[RequestQuery, RequestPlan]:
    """Return the request and its plan with the shopper's last products as what is searched by."""
    branches = (*_searched(plan), *plan.branches)
    return changed(query, signals=tuple(chain(*last.groups()))), changed(plan, branches=branches)
