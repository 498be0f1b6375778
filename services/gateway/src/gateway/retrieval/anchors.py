"""Resolution of a request's anchors as the scene defines them, before any search."""

from collections.abc import Mapping

from gateway.model.causes import Peer
from gateway.model.query import FIRST_ANCHOR, RequestQuery
from gateway.model.retrieved import NOTHING, BranchResult, failed
from gateway.retrieval.history import follow_history
from gateway.retrieval.personal import FromRanker, ask_ranker
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import Branch
from sightline_core.changed import changed
from sightline_rules import categories
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class ResolvedAnchors:
    """A request's anchors, resolved before any search."""

    asked: RequestQuery
    """The query, with its own anchors."""
    given: FromRanker | None
    """Response of the ranker; `None` if it was not called."""
    kept: BranchResult
    """Categories of the anchors, and which anchors are missing from the catalog, if it was read."""


async def resolve_anchors(run: RequestContext) -> tuple[RequestContext, ResolvedAnchors]:
    """Return the run with its anchors, and with the categories that its scene excludes."""
    asked = run.query
    run, given = await infer_anchors(run)
    run, kept = await exclude_anchor_categories(run)
    return run, ResolvedAnchors(asked, given, kept)


async def infer_anchors(run: RequestContext) -> tuple[RequestContext, FromRanker | None]:
    """Infer the anchors of a request that names none, if the scene needs them before searches.

    Return the run with them, and the ranker's response. A request with candidates searches nothing.
    """
    scene, query = run.plan.scene, run.query
    if run.plan.by_history:
        return await follow_history(run)
    if query.candidates:
        return run, None
    needed = scene.anchors_look_alike or scene.other_categories
    inferred = needed and query.shopper is not None and scene.anchors_from.is_history
    if not inferred or query.about:
        return run, None
    candidates, notes = await ask_ranker(run)
    if candidates is None or not candidates.anchors:
        return run, (candidates, notes)
    query = changed(query, anchors=candidates.anchors)
    if scene.anchors_look_alike:
        query = query.near_to(candidates.anchors)
        branches = dict.fromkeys((*run.plan.branches, Branch.VISUAL))
        run = changed(run, plan=changed(run.plan, branches=tuple(branches)))
    return changed(run, query=query), (candidates, notes)


async def exclude_anchor_categories(run: RequestContext) -> tuple[RequestContext, BranchResult]:
    """Exclude the anchors' categories if the scene defines that.

    Return the run, and the anchors that are missing from the catalog.
    """
    level = run.plan.scene.other_categories
    if not level or not run.query.about:
        return run, NOTHING
    paths, notes = await _categories(run, _places(run.query))
    own = {categories.join(categories.split(path)[:level]) for path in paths.values() if path}
    scope = run.plan.scope._replace(other_categories=tuple(sorted(own)))
    return changed(run, plan=changed(run.plan, scope=scope)), notes


def unsearched(run: RequestContext) -> Mapping[int, str]:
    """Return the request's anchors that are not signals, by index."""
    searched = Branch.VISUAL in run.plan.branches
    if searched and not run.query.anchors:
        return {}
    near = {signal.index for signal in run.query.signals} if searched else ()
    return {place: item for place, item in _places(run.query).items() if place not in near}


async def missing(run: RequestContext, places: Mapping[int, str]) -> BranchResult:
    """Return which of these products are missing from the catalog."""
    return (await _categories(run, places))[1]


def _places(query: RequestQuery) -> Mapping[int, str]:
    anchors = {FIRST_ANCHOR - place: item for place, item in enumerate(query.anchors)}
    return anchors | {one.index: one.product_id for one in query.wanted if one.product_id}


async def _categories(
    run: RequestContext, places: Mapping[int, str]
) -> tuple[Mapping[str, str], BranchResult]:
    """Return the written category paths of the products that exist, and the missing products.

    Products that may not be in the answer are read too.
    """
    ids = list(dict.fromkeys(places.values()))
    try:
        async with run.trace.stage("anchors", run.plan.ends.candidates):
            paths = await run.peers.retriever.categories(run.query.catalog_id, ids)
    except ServiceError as error:
        rows = run.snapshot.rows if run.snapshot else {}
        known = {item: categories.join(rows[item].category_path) for item in ids if item in rows}
        return known, failed("anchors", Peer.RETRIEVER, error)
    gone = {place: item for place, item in places.items() if item not in paths}
    return paths, BranchResult(missing=gone)
