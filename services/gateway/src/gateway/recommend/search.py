"""Search: the nearest products of a query, fused, without ranking."""

import math
from dataclasses import replace

from gateway.model.query import RequestQuery
from gateway.model.response import FoundProduct, SearchAnswer
from gateway.model.scene import Scene
from gateway.ranking.sorting import in_order
from gateway.recommend.answer_report import best_match, corrected_queries, degraded, versions_of
from gateway.recommend.charge import charged
from gateway.recommend.final_order import as_fused, collapsed, fused
from gateway.recommend.nothing_found import why_empty
from gateway.recommend.one_stamp import compare_versions, in_steps, of_one_stamp
from gateway.recommend.pages import read_page
from gateway.recommend.validate import check
from gateway.retrieval.branches import FoundCandidates
from gateway.retrieval.branches import search as find_near
from gateway.retrieval.labels import unread
from gateway.state.request_context import RequestDependencies
from sightline_core.branch import Branch
from sightline_core.candidates import FusedCandidates, falling


async def search(query: RequestQuery, deps: RequestDependencies) -> SearchAnswer:
    """Return the nearest products; the answer reports its degradations.

    Raises errors of the caller, and NothingAvailable if no signal could be searched.
    """
    check(query, deps.catalogs, signals_required=True)
    async with charged(query, deps) as run:
        return await of_one_stamp(run, _formed)


async def nearest_page(found: FoundCandidates) -> SearchAnswer:
    """Return a page of the products that were found. Raises NothingAvailable."""
    run, listings = found.run, found.listings
    query, plan, trace = run.query, run.plan, run.trace
    compare_versions(trace, trace.model_version)
    candidates = fused(listings, plan, run.left_out, run.shown)
    candidates = _by_looks_and_labels(plan.scene, candidates)
    order = collapsed(candidates, as_fused(candidates), trace)
    order = in_order(order, candidates.columns, query.sort, plan.top_k)
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
        degradations=degraded(trace, candidates),
        timings=trace.by_start,
        versions=versions_of(trace, plan.scene, run.deps.service_version),
        freshness=trace.freshness,
        facets=trace.facets,
        match=best_match(query, plan.scene, trace, listings),
        candidates=candidates.columns,
        corrected=corrected_queries(query.signals, trace.corrected),
        labels=trace.labels,
        unread=unread(query, plan, trace.labels),
        empty_reason=empty,
    )


_formed = in_steps(find_near, nearest_page)
_PHOTO = frozenset({Branch.VISUAL, Branch.LABELS})


def _by_looks_and_labels(scene: Scene, candidates: FusedCandidates) -> FusedCandidates:
    """Return candidates that photos and their labels found, by similarity plus the weighted match
    of the labels, as Recommend scores them.

    Ranks alone would let the words of any label move products past much nearer ones. Others are
    returned as they are.
    """
    if Branch.LABELS not in candidates.named or not _PHOTO.issuperset(candidates.named):
        return candidates
    weights = {Branch.VISUAL: 1.0, Branch.LABELS: scene.parts_by_signals[Branch.LABELS]}
    scores = [0.0] * len(candidates.order)
    for branch, values in candidates.similarities.items():
        for place, value in enumerate(values):
            scores[place] += 0.0 if math.isnan(value) else weights[branch] * value
    return replace(candidates, fused=scores, order=falling(scores, candidates.columns.product_ids))
