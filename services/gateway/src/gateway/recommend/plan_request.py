"""Planning of a request: scene × request → branches, counts and time. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from gateway.model.plan import MOST_ASKED, MOST_RANKED, RequestPlan, StageEnds
from gateway.model.query import AnswerScope, RequestQuery, SignalKind
from gateway.model.scene import AFFINITY, Scene
from servicekit.rpc.requests import RequestInvalid
from sightline_core.branch import ABOUT, ANCHORED, OF_SHOPPERS, SIMILARITY_BRANCHES, Branch

SPARE = 10
"""Number of products requested in addition to two pages."""


def make_plan(query: RequestQuery, scene: Scene, seconds: float) -> RequestPlan:
    """Return the plan of a request with a total of `seconds`. It pays for no label yet."""
    top_k = min(
        max(round(query.results_a_page * scene.over_fetch), scene.least_candidates),
        scene.most_candidates,
        MOST_ASKED,
    )
    by_history = follows_history(query, scene)
    return RequestPlan(
        scene=scene,
        branches=branches_of(query, scene),
        top_k=top_k,
        # The ranker does not evaluate filters: its candidates are filtered afterwards.
        generated=top_k if query.filter is None else MOST_ASKED,
        most=MOST_RANKED if query.candidates else scene.most_candidates,
        ahead=2 * query.results_a_page + SPARE,
        scope=scope_of(query, scene),
        ends=StageEnds(
            embed=scene.budgets.embed * seconds,
            candidates=scene.budgets.candidates * seconds,
            fallback=scene.budgets.fallback * seconds,
            rank=scene.budgets.rank * seconds,
            hydrate=max(scene.budgets.rank, scene.budgets.hydrate) * seconds,
            answer=seconds,
        ),
        by_history=by_history,
    )


def branches_of(query: RequestQuery, scene: Scene) -> tuple[Branch, ...]:
    """Return the branches of a request, in the order of Branch; its own candidates are the only
    one."""
    if query.candidates:
        return (Branch.GIVEN,)
    personal = scene.new_candidates and query.shopper is not None
    explores = (bool(scene.diversity.exploration_places) or personal) and not query.signals
    return tuple(
        branch
        for branch, asked in _asked(query, scene).items()
        if asked and (scene.branches[branch] > 0 or (branch is Branch.NEW and explores))
    )


def _asked(query: RequestQuery, scene: Scene) -> Mapping[Branch, bool]:
    """Return the branches for which a request has an input, in the branches' order."""
    kinds = {signal.kind for signal in query.signals}
    return {
        Branch.VISUAL: bool(kinds & {SignalKind.IMAGE, SignalKind.IMAGE_URI, SignalKind.PRODUCT}),
        Branch.TEXT: SignalKind.TEXT in kinds,
        Branch.TEXT_VISUAL: SignalKind.TEXT in kinds,
        Branch.KEYWORDS: SignalKind.TEXT in kinds,
        Branch.LABELS: bool(query.labelled),
        Branch.COLLABORATIVE: query.shopper is not None or bool(query.anchors),
        Branch.NEW: True,
        Branch.TRENDING: True,
        Branch.BEST_SELLERS: True,
        Branch.FOLLOWED: bool(query.followed),
        **dict.fromkeys(sorted(ANCHORED), is_anchored(query, scene)),
        **dict.fromkeys(sorted(OF_SHOPPERS), query.shopper is not None),
    }


def scened(query: RequestQuery, scene: Scene) -> RequestQuery:
    """Return the query with its anchors excluded, and used as signals, as its scene defines."""
    if query.followed and not scene.followed_attribute:
        raise RequestInvalid.at("followed", "this scene defines no followed_attribute")
    if query.anchors and not scene.answer_anchors:
        left_out = (*query.exclude_product_ids, *query.anchors)
        query = replace(query, exclude_product_ids=left_out)
    return query.near_to(query.anchors) if scene.anchors_look_alike else query


def is_anchored(query: RequestQuery, scene: Scene) -> bool:
    """Return whether a request is about products: its own, or those that the scene infers."""
    looks = scene.anchors_from.is_history and query.shopper is not None
    return bool(query.about) or looks


def follows_history(query: RequestQuery, scene: Scene) -> bool:
    """Return whether a request names nothing but a shopper, and its scene follows their last
    products."""
    named = query.signals or query.anchors or query.candidates or query.followed or query.listed
    return bool(scene.parts_with_history) and query.shopper is not None and not named


def weights_of(
    scene: Scene, named: Collection[Branch], parts: Collection[str]
) -> Mapping[str, float]:
    """Return the weights of the parts of raw scores, by the branches that found candidates.

    `parts`: those that candidates have; AFFINITY if they follow the shopper's last products. If all
    signals are negative, parts of branches keep their weights. The callers' own scores count 1
    unless the scene says otherwise.
    """
    if Branch.GIVEN in named:
        return {Branch.GIVEN: 1.0, **scene.parts_without_signals}
    if AFFINITY in parts and scene.parts_with_history:
        return scene.parts_with_history
    if not ABOUT.isdisjoint(named):
        return scene.parts_by_signals
    negative = {
        str(part): scene.parts_by_signals.get(part, 0.0)
        for part in parts
        if part in SIMILARITY_BRANCHES
    }
    return {**scene.parts_without_signals, **negative} if negative else scene.parts_without_signals


def scope_of(query: RequestQuery, scene: Scene) -> AnswerScope:
    """Return the conditions on products of the answer.

    Products out of stock are excluded, unless the scene shows them or the caller's filter uses
    availability.
    """
    named = query.filter is not None and query.filter.names_availability
    return AnswerScope(
        query.filter,
        buyable_only=scene.buyable_only and not named,
        market_id=query.market_id,
    )
