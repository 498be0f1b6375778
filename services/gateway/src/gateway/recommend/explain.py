"""Explanation why a product is, or is not, in the answer to a request.

The request is executed as by Recommend up to its first page, and nothing is recorded. A product
that no branch found is added to the candidates with its actual similarities, so that the ranker
gives it the score and rank that it would have.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from gateway.model.causes import Peer
from gateway.model.controls import ControlState
from gateway.model.errors import NothingAvailable
from gateway.model.explanation import BranchVerdict, ProductExplanation, ProductOutcome
from gateway.model.plan import MOST_ASKED, RequestPlan
from gateway.model.query import AnswerScope, RequestQuery
from gateway.ports import RankerPort, RetrieverPort
from gateway.ranking.fallbacks import HYDRATE
from gateway.ranking.fuse import fuse
from gateway.ranking.near_duplicates import collapsed_into
from gateway.recommend.answer_report import degraded, versions_of
from gateway.recommend.charge import charged
from gateway.recommend.controls.active import activate_controls, excluded_ids, pinned_ids
from gateway.recommend.controls.moves import apply_boosts, apply_pins
from gateway.recommend.controls.of_product import caps_of, controls_given, controls_of
from gateway.recommend.controls.step import apply_controls, matching
from gateway.recommend.final_order import (
    as_fused,
    collapsed,
    fused,
    rank,
    rank_order,
    split_by_signal,
)
from gateway.recommend.pages import AnswerPage, read_page
from gateway.recommend.photo_anchors import anchors_in_photo
from gateway.recommend.validate import check, check_product
from gateway.retrieval.anchors import ResolvedAnchors, resolve_anchors
from gateway.retrieval.branches import find, near_signals
from gateway.retrieval.labels import unread
from gateway.state.request_context import RequestContext, RequestDependencies
from gateway.state.trace import RequestTrace
from servicekit.errors import ServiceError
from sightline_core.answer import AnswerOrder, AnswerResult
from sightline_core.candidates import CandidateList, FusedCandidates
from sightline_core.columns import ProductColumns, gathered
from sightline_core.opaque_messages import ProductRow
from sightline_core.ranking import RankRequest
from sightline_rules import categories


async def explain(
    query: RequestQuery, product_id: str, deps: RequestDependencies
) -> ProductExplanation:
    """Return the outcome of the product.

    Raises as `recommend`, and RequestInvalid for a page token.
    """
    check(query, deps.catalogs)
    check_product(query, product_id)
    async with charged(replace(query, explain=True), deps, searches=2) as planned:
        run, outcomes = await activate_controls(planned)
        resting = tuple(each for each in outcomes if each.state is not ControlState.APPLIED)
        run, anchors = await resolve_anchors(await anchors_in_photo(run))
        retriever, plan, catalog_id = run.peers.retriever, run.plan, run.query.catalog_id
        versions = versions_of(run.trace, plan.scene, deps.service_version)
        pinned = product_id in pinned_ids(plan.controls)
        out = product_id in (run.excluded if pinned else run.left_out)
        try:
            row, columns = await _read(retriever, catalog_id, run.query.market_id, product_id)
            if row is None:
                gone = ProductOutcome.PRODUCT_NOT_FOUND
                return ProductExplanation(gone, versions=versions, resting=resting)
            left_out = await _left_out(row, plan, retriever, catalog_id, out=out)
            controls = await controls_of(
                columns,
                controls_given(run.query, plan.scene),
                outcomes,
                partial(matching, run, columns.product_ids),
                lambda keys: deps.exposures.of(catalog_id, keys, deps.peers.ranker.control_counts),
            )
        except ServiceError as error:
            run.trace.fail(HYDRATE, Peer.RETRIEVER, error)
            raise NothingAvailable(run.trace.causes) from error
        if left_out is not None:
            found = replace(left_out, row=row, versions=versions)
        else:
            found = await _placed(run, row, columns, anchors)
        return replace(found, resting=resting, controls=controls)


async def _read(
    retriever: RetrieverPort, catalog_id: str, market_id: str, product_id: str
) -> tuple[ProductRow | None, ProductColumns]:
    """Return the product from the record, regardless of the request's filter: in its market if the
    product is sold there."""
    for scope in dict.fromkeys((AnswerScope(market_id=market_id), AnswerScope())):
        rows = (await retriever.products(catalog_id, [product_id], scope)).rows
        columns = await retriever.columns(catalog_id, [product_id], scope)
        if rows and columns.product_ids:
            return rows[0], columns
    return None, columns


async def _left_out(
    row: ProductRow, plan: RequestPlan, retriever: RetrieverPort, catalog_id: str, *, out: bool
) -> ProductExplanation | None:
    """Return the outcome if the product is excluded before any search; None if it is not. `out`: no
    search may bring it."""
    product_id = row.product_id
    if out:
        by_control = product_id in excluded_ids(plan.controls)
        return ProductExplanation(
            ProductOutcome.EXCLUDED_BY_CONTROL if by_control else ProductOutcome.EXCLUDED
        )
    scope = plan.scope
    for outcome, part in (
        (ProductOutcome.FILTERED, scope._replace(buyable_only=False, without=())),
        (ProductOutcome.UNAVAILABLE, scope._replace(filter=None, without=())),
        (
            ProductOutcome.EXCLUDED_BY_CONTROL,
            AnswerScope(without=scope.without, market_id=scope.market_id),
        ),
    ):
        if part != AnswerScope():
            rejection = await retriever.rejection(catalog_id, product_id, part)
            if rejection is not None:
                own, others = categories.join(row.category_path), part.other_categories
                within = () if rejection.path else _within(own, others)
                return ProductExplanation(outcome, rejection=rejection, other_categories=within)
    return None


def _within(path: str, excluded: Sequence[str]) -> tuple[str, ...]:
    """Return those of the categories that a path is in or below."""
    return tuple(each for each in excluded if categories.is_within(path, each))


async def _placed(
    run: RequestContext, row: ProductRow, columns: ProductColumns, anchors: ResolvedAnchors
) -> ProductExplanation:
    """Return the outcome of a product that may be in the answer."""
    product_id, plan, trace = row.product_id, run.plan, run.trace
    listings = await find(run, anchors)
    # A pinned last product of the shopper is not left out; anchors that were just found are.
    pinned = product_id in pinned_ids(plan.controls)
    if product_id in (run.excluded if pinned else run.left_out):
        versions = versions_of(trace, plan.scene, run.deps.service_version)
        return ProductExplanation(ProductOutcome.EXCLUDED, row=row, versions=versions)
    reaching = await _reaching(run, listings, columns)
    candidates = fused(listings, plan, run.left_out, run.shown)
    named = product_id in candidates.columns.product_ids
    if not named:
        candidates, named = _with_product(candidates, columns, reaching), pinned
    candidates, _ = await apply_controls(run, candidates)
    ranker = run.peers.ranker
    asked = replace(rank_order(run, candidates), collapse=False, pins_first=True)
    ranked = await rank(asked, ranker, trace, plan.ends.rank)
    order = _as_fused(candidates, trace) if ranked is None else ranked.order
    explanation = ProductExplanation(
        ProductOutcome.OUTRANKED if named else ProductOutcome.NOT_A_CANDIDATE,
        row=row,
        branches=tuple(
            _verdict(product_id, *pair) for pair in zip(listings, reaching, strict=True)
        ),
        degradations=degraded(trace, candidates),
        versions=versions_of(trace, plan.scene, run.deps.service_version),
        labels=trace.labels,
        unread=unread(run.query, plan, trace.labels),
        caps=caps_of(plan.scene.diversity, product_id, candidates, order.product_ids),
    )
    if product_id not in order.product_ids:
        alone = candidates.picked([candidates.places[product_id]])
        return replace(explanation, outcome=await _dropped(rank_order(run, alone), ranker))

    split = _splitter(product_id, reaching, listings)
    if into := collapsed_into(candidates, order, product_id):
        at = list(order.product_ids).index(product_id)
        (placed,) = split([AnswerResult(row, 0, order.product(at))])
        return replace(
            explanation, outcome=ProductOutcome.COLLAPSED, collapsed_into=into, placed=placed
        )
    products = apply_pins(candidates, collapsed(candidates, order, trace))
    page = await read_page(run, products)
    return _against(page, explanation, products, row, split)


def _splitter(
    product_id: str, reaching: Sequence[CandidateList], listings: Sequence[CandidateList]
) -> Callable[[Sequence[AnswerResult]], Sequence[AnswerResult]]:
    """Return the listings that split contributions by signal, extended by the product."""

    def split(results: Sequence[AnswerResult]) -> Sequence[AnswerResult]:
        found: list[AnswerResult] = []
        for item in results:
            lists = reaching if item.row.product_id == product_id else listings
            found += split_by_signal(lists, (item,))
        return found

    return split


def _as_fused(candidates: FusedCandidates, trace: RequestTrace) -> AnswerOrder:
    """Return the candidates in their fused order, pinned products first."""
    trace.steps.append("as fused")
    return apply_boosts(candidates, as_fused(candidates))[0]


async def _reaching(
    run: RequestContext, listings: Sequence[CandidateList], columns: ProductColumns
) -> tuple[CandidateList, ...]:
    """Return the listings, each extended by the product with its similarity.

    A search restricted to the product gives its similarity.
    """
    product_id = columns.product_ids[0]
    if all(not item.similarities or product_id in item.columns.product_ids for item in listings):
        return tuple(listings)
    scope = AnswerScope(
        created_micros=columns.create_time_micros[0], market_id=run.plan.scope.market_id
    )
    plan = replace(run.plan, scope=scope, top_k=MOST_ASKED)
    # With its own time limit: that of the request's searches may have passed.
    trace = RequestTrace()
    trace.labels |= run.trace.labels  # not read twice
    alone = await near_signals(replace(run, plan=plan, trace=trace))
    found = {(item.branch, item.signal): item for item in alone.listings}
    return tuple(
        _extended(item, columns, found[item.branch, item.signal])
        if item.similarities and (item.branch, item.signal) in found
        else item
        for item in listings
    )


def _extended(
    listing: CandidateList, columns: ProductColumns, alone: CandidateList
) -> CandidateList:
    """Return a listing with the product appended.

    It is unchanged if it has the product, or if `alone` lacks the product.
    """
    (product_id,), ids = columns.product_ids, list(alone.columns.product_ids)
    if product_id in listing.columns.product_ids or product_id not in ids:
        return listing
    row = ids.index(product_id)
    return replace(
        listing,
        columns=_with(listing.columns, columns),
        similarities=(*listing.similarities, alone.similarities[row]),
        image_ids=(*listing.image_ids, alone.image_ids[row]) if listing.image_ids else (),
        collapsed=(*listing.collapsed, ()) if listing.collapsed else (),
    )


def _with(columns: ProductColumns, one: ProductColumns) -> ProductColumns:
    return gathered([(columns, range(len(columns.product_ids))), (one, (0,))])


def _with_product(
    candidates: FusedCandidates, columns: ProductColumns, reaching: Sequence[CandidateList]
) -> FusedCandidates:
    """Return the candidates followed by one more, which no branch found."""
    whole = fuse(reaching, (), sys.maxsize)
    place = whole.places.get(columns.product_ids[0])
    return replace(
        candidates,
        columns=_with(candidates.columns, columns),
        fused=[*candidates.fused, 0.0],
        order=[*candidates.order, len(candidates.order)],
        branches=[*candidates.branches, 0],
        nearest=[*candidates.nearest, None if place is None else whole.nearest[place]],
        image_ids=[*candidates.image_ids, "" if place is None else whole.image_ids[place]],
        similarities={
            branch: [*values, math.nan if place is None else whole.similarities[branch][place]]
            for branch, values in candidates.similarities.items()
        },
    )


async def _dropped(alone: RankRequest, ranker: RankerPort) -> ProductOutcome:
    """Return why the ranker excluded a candidate. `alone`: the request with this one only."""
    if not alone.drop_seen:
        return ProductOutcome.HIDDEN
    ranked = await ranker.rank(alone)
    return ProductOutcome.SEEN if ranked.seen_count else ProductOutcome.HIDDEN


def _against(
    page: AnswerPage,
    explanation: ProductExplanation,
    products: AnswerOrder,
    row: ProductRow,
    split: Callable[[Sequence[AnswerResult]], Sequence[AnswerResult]],
) -> ProductExplanation:
    """Return the product's place, compared with the first page."""
    results = split(page.results)
    last = results[-1] if results else None
    for result in results:
        if result.row.product_id == row.product_id:
            named = explanation.outcome is ProductOutcome.OUTRANKED
            outcome = ProductOutcome.SHOWN if named else explanation.outcome
            return replace(explanation, outcome=outcome, placed=result, last_shown=last)
    place = list(products.product_ids).index(row.product_id)
    # Products behind the page were not read and count as shown.
    rank = page.served + max(place - page.offset, 0) + 1
    (placed,) = split([AnswerResult(row, rank, products.product(place))])
    return replace(explanation, placed=placed, last_shown=last)


def _verdict(product_id: str, listing: CandidateList, reaching: CandidateList) -> BranchVerdict:
    """Return the product's position in a listing."""
    near = dict(zip(reaching.columns.product_ids, reaching.similarities, strict=False))
    return BranchVerdict(
        branch=listing.branch,
        signal=None if (listing.signal or 0) < 0 else listing.signal,
        named=product_id in listing.columns.product_ids,
        named_count=len(listing.columns.product_ids),
        similarity=near.get(product_id),
        last_similarity=min(listing.similarities, default=None),
    )
