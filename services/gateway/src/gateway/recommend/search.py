"""Search: the products near to the signals, fused and not ranked for anyone."""

from gateway.model.messages import Findings, FoundProduct
from gateway.model.query import Query
from gateway.ranking.sorting import Sort, in_order
from gateway.recommend.match import judge
from gateway.recommend.pages import cut
from gateway.recommend.recommend import as_fused, begin, collapsed, degraded, fused, versions_of
from gateway.recommend.validate import check
from gateway.retrieval.branches import search as find_near
from gateway.state.run import Dependencies
from servicekit import deadlines


async def search(query: Query, deps: Dependencies) -> Findings:
    """The nearest products; the answer reports what is degraded.

    Raises the caller's own errors, and NothingAvailable when no signal could be followed.
    """
    check(query, deps.catalogs, signals_required=True)
    run = begin(query, deps)
    with deadlines.within(run.plan.ends.answer):
        listings = await find_near(run)
        candidates = fused(run, listings)
        order = collapsed(run, candidates, as_fused(candidates))
        page = await cut(run, in_order(order, candidates.columns, Sort(query.sort), run.plan.top_k))
    nearest = dict(zip(candidates.columns.product_ids, candidates.nearest, strict=True))
    return Findings(
        results=[
            FoundProduct(
                product=result.row,
                rank=result.rank,
                similarity=nearest[result.row.product_id] or 0.0,
                matched_image_id=result.answered.matched_image_id,
                collapsed_product_ids=result.answered.collapsed,
            )
            for result in page.results
        ],
        degradations=degraded(run, candidates),
        stage_timings=run.trace.by_start,
        versions=versions_of(run),
        freshness=run.trace.freshness,
        subjects=run.trace.signal_subjects,
        facets=run.trace.facets,
        match=judge(run, listings),
    )
