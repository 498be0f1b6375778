"""Decides how a request is answered: scene × request → branches, counts and time. Pure."""

from collections.abc import Collection, Iterable, Mapping

from gateway.model.branch import SIMILARITY_BRANCHES, Branch
from gateway.model.plan import MOST_ASKED, MOST_RANKED, Ends, Plan
from gateway.model.query import Query, Scope, SignalKind
from gateway.model.scene import Scene

SPARE = 10
"""Products beyond two pages that are asked for at once."""


def make_plan(query: Query, scene: Scene, seconds: float) -> Plan:
    """The plan of a request that has `seconds` in all."""
    kinds = {signal.kind for signal in query.signals}
    wanted = {
        Branch.VISUAL: bool(kinds & {SignalKind.IMAGE, SignalKind.IMAGE_URI, SignalKind.PRODUCT}),
        Branch.TEXT: SignalKind.TEXT in kinds,
        Branch.TEXT_VISUAL: SignalKind.TEXT in kinds,
        Branch.KEYWORDS: SignalKind.TEXT in kinds,
        Branch.COLLABORATIVE: query.shopper is not None,
        Branch.NEW: bool(scene.diversity.exploration_places) and not query.signals,
    }
    top_k = min(
        max(round(query.results_a_page * scene.over_fetch), scene.least_candidates),
        scene.most_candidates,
        MOST_ASKED,
    )
    return Plan(
        scene=scene,
        branches=tuple(
            branch
            for branch, asked in wanted.items()
            if asked and scene.branches.get(branch, 1.0) > 0
        ),
        top_k=top_k,
        # The ranker knows no filter: what it names is thinned out afterwards.
        generated=top_k if query.filter is None else MOST_ASKED,
        most=min(scene.most_candidates, MOST_RANKED),
        ahead=2 * query.results_a_page + SPARE,
        scope=scope_of(query, scene),
        ends=Ends(
            embed=scene.budgets.embed * seconds,
            candidates=scene.budgets.candidates * seconds,
            fallback=scene.budgets.fallback * seconds,
            rank=scene.budgets.rank * seconds,
            hydrate=max(scene.budgets.rank, scene.budgets.hydrate) * seconds,
            answer=seconds,
        ),
    )


def weights_of(
    scene: Scene, named: Collection[Branch], parts: Iterable[str]
) -> Mapping[str, float]:
    """How much each part of raw scores counts, by the branches that named candidates and the
    similarities that they have.

    Where all signals are negative, they count as they do otherwise.
    """
    if any(branch in SIMILARITY_BRANCHES for branch in named):
        return scene.parts_with_signals
    negative = {str(part): scene.parts_with_signals.get(part, 0.0) for part in parts}
    return {**scene.parts_without_signals, **negative} if negative else scene.parts_without_signals


def scope_of(query: Query, scene: Scene) -> Scope:
    """Which products may be answered.

    What can't be bought is left out, unless the scene shows it or the caller's own filter names
    availability.
    """
    named = query.filter is not None and query.filter.names_availability
    return Scope(query.filter, buyable_only=scene.buyable_only and not named)
