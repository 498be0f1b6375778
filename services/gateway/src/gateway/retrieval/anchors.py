"""Resolution of a request's anchors as the scene defines them, before any search."""

from collections.abc import Mapping

from gateway.model.causes import Peer
from gateway.model.query import FIRST_ANCHOR, RequestQuery
from gateway.model.retrieved import NOTHING, BranchResult, failed
from gateway.ports import RetrieverPort
from gateway.retrieval.history import by_last_products, read_last_products
from gateway.retrieval.personal import FromRanker, ask_ranker
from gateway.state.request_context import RequestContext
from gateway.state.trace import Stage
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
    """Return the run with its anchors, and without their categories if its scene excludes these."""
    asked = run.query
    run, given = await infer_anchors(run)
    plan, level = run.plan, run.plan.scene.other_categories
    if not level or not run.query.about:
        return run, ResolvedAnchors(asked, given, NOTHING)
    places, stage = _places(run.query), run.trace.stage("anchors", plan.ends.candidates)
    paths, kept = await _categories(places, asked.catalog_id, run.peers.retriever, stage)
    if kept.failures and run.snapshot:
        rows = run.snapshot.rows
        known = [rows[item] for item in places.values() if item in rows]
        paths = {row.product_id: categories.join(row.category_path) for row in known}
    own = {categories.join(categories.split(path)[:level]) for path in paths.values() if path}
    scope = plan.scope._replace(other_categories=tuple(sorted(own)))
    return changed(run, plan=changed(plan, scope=scope)), ResolvedAnchors(asked, given, kept)


async def infer_anchors(run: RequestContext) -> tuple[RequestContext, FromRanker | None]:
    """Infer the anchors of a request that names none, if the scene needs them before searches; the
    last products of a shopper whom no model knows, if the scene follows them.

    Return the run with them, and the ranker's response. A request with candidates searches nothing.
    """
    query, plan, scene = run.query, run.plan, run.plan.scene
    if plan.by_history:
        retriever, stage = run.peers.retriever, run.trace.stage("history", plan.ends.candidates)
        given = await ask_ranker(run)
        last, given = await read_last_products(given, query.catalog_id, retriever, stage)
        if last.ids:
            query, plan = by_last_products(query, plan, last)
            run = changed(run, query=query, plan=plan, last_products=last)
        return run, given
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
        branches = dict.fromkeys((*plan.branches, Branch.VISUAL))
        plan = changed(plan, branches=tuple(branches))
    return changed(run, query=query, plan=plan), (candidates, notes)


def unsearched(query: RequestQuery, *, by_looks: bool) -> Mapping[int, str]:
    """Return the request's anchors that are not signals, by index. `by_looks`: signals are searched
    by looks."""
    if by_looks and not query.anchors:
        return {}
    near = {signal.index for signal in query.signals} if by_looks else ()
    return {place: item for place, item in _places(query).items() if place not in near}


async def missing(
    places: Mapping[int, str], catalog_id: str, retriever: RetrieverPort, stage: Stage
) -> BranchResult:
    """Return which of these products are missing from the catalog."""
    return (await _categories(places, catalog_id, retriever, stage))[1]


def _places(query: RequestQuery) -> Mapping[int, str]:
    anchors = {FIRST_ANCHOR - place: item for place, item in enumerate(query.anchors)}
    return anchors | {one.index: one.product_id for one in query.wanted if one.product_id}


async def _categories(
    places: Mapping[int, str], catalog_id: str, retriever: RetrieverPort, stage: Stage
) -> tuple[Mapping[str, str], BranchResult]:
    """Return the written category paths of the products that exist, and the missing products.

    Products that may not be in the answer are read too.
    """
    try:
        async with stage:
            paths = await retriever.categories(catalog_id, list(dict.fromkeys(places.values())))
    except ServiceError as error:
        return {}, failed("anchors", Peer.RETRIEVER, error)
    gone = {place: item for place, item in places.items() if item not in paths}
    return paths, BranchResult(missing=gone)
