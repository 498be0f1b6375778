"""Planning of a request: scene × request → branches, counts and time. Pure."""

from collections.abc import Mapping, Set
from functools import lru_cache
from typing import NamedTuple, Self

from gateway.model.plan import MOST_ASKED, MOST_RANKED, NO_TIME, RequestPlan, StageEnds
from gateway.model.query import PHOTO_KINDS, AnswerScope, RequestQuery, SignalKind
from gateway.model.scene import AFFINITY, Scene
from servicekit.rpc.requests import RequestInvalid
from sightline_core.branch import (
    ABOUT,
    ANCHORED,
    BRANCHES,
    SIMILARITY_BRANCHES,
    WEIGHED,
    Branch,
    BranchNeed,
)
from sightline_core.changed import changed

SPARE = 10
"""Number of products requested in addition to two pages."""


COMPILED = 1_024
"""Shapes of requests, each of one version of a scene, whose plan is kept."""


class RequestShape(NamedTuple):
    """What a plan depends on of a request."""

    size: int
    """Results of a page."""
    kinds: frozenset[SignalKind]
    signalled: bool
    labelled: bool
    given: bool
    """It has candidates of its own."""
    personal: bool
    anchored: bool
    """It names anchors."""
    about: bool
    """It is about products."""
    followed: bool
    listed: bool
    filtered: bool

    @classmethod
    def of(cls, query: RequestQuery) -> Self:
        """Return the shape of a request."""
        signals = query.signals
        kinds = frozenset([each.kind for each in signals]) if signals else _NO_KINDS
        return cls(
            query.results_a_page,
            kinds,
            bool(signals),
            bool(kinds & PHOTO_KINDS and query.labelled),
            bool(query.candidates),
            query.shopper is not None,
            bool(query.anchors),
            bool(query.about),
            bool(query.followed),
            query.listed,
            query.filter is not None,
        )


_NO_KINDS = frozenset[SignalKind]()


def make_plan(query: RequestQuery, scene: Scene, seconds: float) -> RequestPlan:
    """Return the plan of a request with a total of `seconds`. It pays for no label yet."""
    budgets = scene.budgets
    return changed(
        _compiled(scene, RequestShape.of(query)),
        scope=scope_of(query, scene),
        ends=StageEnds(
            embed=budgets.embed * seconds,
            candidates=budgets.candidates * seconds,
            fallback=budgets.fallback * seconds,
            rank=budgets.rank * seconds,
            hydrate=max(budgets.rank, budgets.hydrate) * seconds,
            answer=seconds,
        ),
    )


@lru_cache(COMPILED)
def _compiled(scene: Scene, shape: RequestShape) -> RequestPlan:
    """Return the plan of all requests of a shape, without conditions and time."""
    top_k = min(
        max(round(shape.size * scene.over_fetch), scene.least_candidates),
        scene.most_candidates,
        MOST_ASKED,
    )
    return RequestPlan(
        scene=scene,
        branches=_branches_of(shape, scene),
        top_k=top_k,
        # The ranker does not evaluate filters: its candidates are filtered afterwards.
        generated=MOST_ASKED if shape.filtered else top_k,
        most=MOST_RANKED if shape.given else scene.most_candidates,
        ahead=2 * shape.size + SPARE,
        scope=AnswerScope(),
        ends=NO_TIME,
        by_history=_follows_history(shape, scene),
    )


def branches_of(query: RequestQuery, scene: Scene) -> tuple[Branch, ...]:
    """Return the branches of a request, in the order of Branch; its own candidates are the only
    one."""
    return _branches_of(RequestShape.of(query), scene)


def _branches_of(shape: RequestShape, scene: Scene) -> tuple[Branch, ...]:
    if shape.given:
        return (Branch.GIVEN,)
    personal = scene.new_candidates and shape.personal
    explores = (bool(scene.diversity.exploration_places) or personal) and not shape.signalled
    met = _met(shape, scene)
    return tuple(
        branch
        for branch in WEIGHED
        if BRANCHES[branch].needs in met
        and (scene.branches[branch] > 0 or (branch is Branch.NEW and explores))
    )


def _met(shape: RequestShape, scene: Scene) -> Set[BranchNeed]:
    """Return what branches can need and the request has."""
    photos = {SignalKind.IMAGE, SignalKind.IMAGE_URI, SignalKind.PRODUCT}
    met = {
        BranchNeed.PHOTO: not photos.isdisjoint(shape.kinds),
        BranchNeed.TEXT: SignalKind.TEXT in shape.kinds,
        BranchNeed.LABEL: shape.labelled,
        BranchNeed.LIKING: shape.personal or shape.anchored,
        BranchNeed.ANCHOR: shape.about or (scene.anchors_from.is_history and shape.personal),
        BranchNeed.SHOPPER: shape.personal,
        BranchNeed.FOLLOWED: shape.followed,
        BranchNeed.NOTHING: True,
    }
    return {need for need, given in met.items() if given}


def _follows_history(shape: RequestShape, scene: Scene) -> bool:
    """Return whether a request names nothing but a shopper, and its scene follows their last
    products."""
    named = shape.signalled or shape.anchored or shape.given or shape.followed or shape.listed
    return bool(scene.parts_with_history) and shape.personal and not named


def scened(query: RequestQuery, scene: Scene) -> RequestQuery:
    """Return the query with its anchors excluded, and used as signals, as its scene defines."""
    if query.followed and not scene.followed_attribute:
        raise RequestInvalid.at("followed", "this scene defines no followed_attribute")
    if query.anchors and not scene.answer_anchors:
        left_out = (*query.exclude_product_ids, *query.anchors)
        query = changed(query, exclude_product_ids=left_out)
    return query.near_to(query.anchors) if scene.anchors_look_alike else query


@lru_cache(COMPILED)
def weights_of(
    scene: Scene, named: tuple[Branch, ...], parts: tuple[str, ...]
) -> Mapping[str, float]:
    """Return the weights of the parts of raw scores, by the branches that found candidates.

    `parts`: those that candidates have; AFFINITY if they follow the shopper's last products, as do
    counts with anchors that the scene's own branches do not use. If all signals are negative, parts
    of branches keep their weights. The callers' own scores count 1 unless the scene says otherwise.
    """
    if Branch.GIVEN in named:
        return {Branch.GIVEN: 1.0, **scene.parts_without_signals}
    followed = ANCHORED.difference(scene.used).intersection(named)
    if scene.parts_with_history and (followed or AFFINITY in parts):
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
