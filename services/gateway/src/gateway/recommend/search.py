"""Search: the nearest products of a query, fused, without ranking."""

import math
from dataclasses import replace

from gateway.model.query import RequestQuery
from gateway.model.response import FoundProduct, SearchAnswer
from gateway.ranking.sorting import in_order
from gateway.recommend.answer_report import best_match, corrected_queries, degraded, versions_of
from gateway.recommend.charge import charged
from gateway.recommend.final_order import as_fused, collapsed, fused
from gateway.recommend.nothing_found import why_empty
from gateway.recommend.one_stamp import compare_versions, of_one_stamp
from gateway.recommend.pages import read_page
from gateway.recommend.validate import check
from gateway.retrieval.branches import search as find_near
from gateway.retrieval.labels import unread
from gateway.state.request_context import RequestContext, RequestDependencies
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList, FusedCandidates, falling


async def search(query: RequestQuery, deps: RequestDependencies) -> SearchAnswer:
    """Return the nearest products; the answer reports its degradations.

    Raises errors of the caller, and NothingAvailable if no signal could be searched.
    """
    check(query, deps.catalogs, signals_required=True)
    async with charged(query, deps) as run:
        return await of_one_stamp(run, _formed)


async def _formed(run: RequestContext) -> SearchAnswer:
    return await nearest_page(run, await find_near(run))


async def nearest_page(run: RequestContext, listings: tuple[CandidateList, ...]) -> SearchAnswer:
    """Return a page of the products that were found. Raises NothingAvailable."""
    compare_versions(run, run.trace.model_version)
    candidates = _by_looks_and_labels(run, fused(run, listings))
    order = collapsed(run, candidates, as_fused(candidates))
    order = in_order(order, candidates.columns, run.query.sort, run.plan.top_k)
    page = await read_page(run, order, stamp=candidates.columns.stamp)
    empty = None if page.results else await why_empty(run)
    nearest = dict(zip(candidates.columns.product_ids, candidates.nearest, strict=True))
    return SearchAnswer(
        results=tuple(
            [
                FoundProduct(
                    row, rank, nearest[own.product_id] or 0.0, own.matched_image_id, own.collapsed
                )
                for row, rank, own in page.results
            ]
        ),
        degradations=degraded(run, candidates),
        timings=run.trace.by_start,
        versions=versions_of(run),
        freshness=run.trace.freshness,
        facets=run.trace.facets,
        match=best_match(run, listings),
        candidates=candidates.columns,
        corrected=corrected_queries(run),
        labels=run.trace.labels,
        unread=unread(run),
        empty_reason=empty,
    )


_PHOTO = frozenset({Branch.VISUAL, Branch.LABELS})


def _by_looks_and_labels(run: RequestContext, candidates: FusedCandidates) -> FusedCandidates:
    """Return candidates that photos and their labels found, by similarity plus the weighted match
    of the labels, as Recommend scores them.

    Ranks alone would let the words of any label move products past much nearer ones. Others are
    returned as they are.
    """
    if Branch.LABELS not in candidates.named or not _PHOTO.issuperset(candidates.named):
        return candidates
    weights = {Branch.VISUAL: 1.0, Branch.LABELS: run.plan.scene.parts_by_signals[Branch.LABELS]}
    scores = [0.0] * len(candidates.order)
    for branch, values in candidates.similarities.items():
        for place, value in enumerate(values):
            scores[place] += 0.0 if math.isnan(value) else weights[branch] * value
    return replace(candidates, fused=scores, order=falling(scores, candidates.columns.product_ids))
