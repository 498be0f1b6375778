"""The use case Recommend: plan → controls → branches → fuse → rank → page → answer."""

import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.model.causes import Peer
from gateway.model.controls import ControlOutcomes
from gateway.model.errors import NothingAvailable
from gateway.model.peer_failures import StageFailure
from gateway.model.query import RequestQuery
from gateway.model.response import RecommendAnswer
from gateway.recommend.answer_report import (
    answer_quality,
    best_match,
    corrected_queries,
    degraded,
    found_by,
    versions_of,
)
from gateway.recommend.charge import charged
from gateway.recommend.controls.active import activate_controls
from gateway.recommend.controls.step import (
    apply_controls,
    budgeted,
    correct_outcomes,
    note_goals,
)
from gateway.recommend.final_order import FinalOrder, fused, order_candidates, split_by_signal
from gateway.recommend.nothing_found import why_empty
from gateway.recommend.one_stamp import in_steps, of_one_stamp
from gateway.recommend.pages import AnswerPage, attribution, later_page, next_page, read_page
from gateway.recommend.photo_anchors import anchors_in_photo
from gateway.recommend.validate import check
from gateway.retrieval.anchors import resolve_anchors
from gateway.retrieval.branches import FoundCandidates, find
from gateway.retrieval.fallback import list_snapshot
from gateway.retrieval.labels import unread
from gateway.state import tokens
from gateway.state.request_context import RequestContext, RequestDependencies
from servicekit import tracing
from sightline_core.answer import AnswerRecord
from sightline_core.candidates import CandidateList, FusedCandidates
from sightline_core.changed import changed
from sightline_core.degradations import DegradationCause
from sightline_rules.fast_dataclass import fast_dataclass

T = TypeVar("T")


@fast_dataclass(frozen=True, slots=True)
class OrderedCandidates:
    """The candidates of an answer in their final order."""

    candidates: FusedCandidates
    record: AnswerRecord
    ordered: FinalOrder
    absent: ControlOutcomes
    """Effects of pins of products that are no candidates."""


@fast_dataclass(slots=True)
class FirstPage:
    """The first page of an answer, with its inputs."""

    listings: tuple[CandidateList, ...]
    candidates: FusedCandidates
    record: AnswerRecord
    ordered: FinalOrder
    page: AnswerPage
    outcomes: ControlOutcomes
    """Effects of pins."""


async def recommend(query: RequestQuery, deps: RequestDependencies) -> RecommendAnswer:
    """Return ranked, explained products; the answer reports its degradations.

    Raises errors of the caller, RequestTooExpensive, NothingAvailable without any product,
    AnswerDegraded below the minimum quality and, for a later page, AnswerMissing;
    ExpensiveRequestsBusy.
    """
    check(query, deps.catalogs)
    async with charged(query, deps) as run:
        if query.page_token:
            return await of_one_stamp((await activate_controls(run))[0], later_page)
        answer = await of_one_stamp(run, _formed)
        deps.recent.note(run.plan.scene.name, query.as_answered, run.time_micros)
        return answer


async def find_candidates(planned: RequestContext) -> FoundCandidates:
    """Return the candidates of a planned request.

    Raises errors of the caller, and NothingAvailable if everything failed.
    """
    run, activated = await activate_controls(planned)
    run, anchors = await resolve_anchors(await anchors_in_photo(run))
    return FoundCandidates(run, await find(run, anchors), activated)


async def form_answer(found: FoundCandidates) -> RecommendAnswer:
    """Order the candidates and return the first page of the answer, which is recorded.

    Raises NothingAvailable, AnswerDegraded.
    """
    first = kept(found.run, await showable(found, _first_page))
    answer = answer_of(found.run, first, found.outcomes)
    if answer.results:
        return answer
    return changed(answer, empty_reason=await why_empty(found.run, answer.hidden_count))


_formed = in_steps(find_candidates, form_answer)


async def showable(
    found: FoundCandidates,
    form: Callable[[RequestContext, tuple[CandidateList, ...]], Awaitable[T]],
) -> T:
    """Return what is formed of the candidates; if they can't be shown, of those that can and of
    products of the snapshot. Raises NothingAvailable without either."""
    run, listings = found.run, found.listings
    try:
        return await form(run, listings)
    except NothingAvailable:
        if run.unlisted_snapshot is None:
            raise
        return await form(run, (*listings, *await list_snapshot(run)))


async def order_listings(
    run: RequestContext, listings: tuple[CandidateList, ...]
) -> OrderedCandidates:
    """Return the candidates in their final order. Raises AnswerDegraded."""
    plan, trace = run.plan, run.trace
    with tracing.within("fuse"):
        found = fused(listings, plan, run.left_out, run.shown)
    candidates, absent = await apply_controls(run, found)
    lost = degraded(trace, candidates)
    answer_quality(run.query, plan.scene, trace, lost, candidates.named if lost else ())
    record = draft(run, candidates)
    ordered = await order_candidates(run, candidates, record)
    return OrderedCandidates(candidates, record, ordered, absent)


async def _first_page(run: RequestContext, listings: tuple[CandidateList, ...]) -> FirstPage:
    """Return the first page of the candidates.

    Raises NothingAvailable if no product can be shown, or less than a page while the snapshot has
    more; AnswerDegraded.
    """
    found = await order_listings(run, listings)
    ordered = found.ordered
    stamp = found.candidates.columns.stamp
    page = await read_page(run, ordered.order, ordered.rest, whole=True, stamp=stamp)
    if not page.results and run.trace.snapshot_listed:  # the shopper hid all of them
        raise NothingAvailable(run.trace.causes)
    outcomes = (*found.absent, *ordered.outcomes)
    if run.plan.controls:
        read = ordered.order.product_ids[: page.offset]
        on_page = [item.row.product_id for item in page.results]
        outcomes = await correct_outcomes(run, outcomes, read, on_page)
    if run.query.explain:
        page = changed(page, results=split_by_signal(listings, page.results))
    return FirstPage(listings, found.candidates, found.record, ordered, page, outcomes)


def draft(run: RequestContext, candidates: FusedCandidates) -> AnswerRecord:
    """Return the answer's record without its order, which the ranker adds."""
    trace = run.trace
    trace.answer_id = trace.answer_id or os.urandom(16).hex()
    return AnswerRecord(
        answer_id=trace.answer_id,
        request_digest=run.digests.stored,
        shopper=run.query.shopper,
        versions=versions_of(trace, run.plan.scene, run.deps.service_version, "rank"),
        seed=tokens.seed_of(run.digests.stored),
        degradations=degraded(trace, candidates),
        answer_micros=run.time_micros,
        expire_micros=run.time_micros + round(run.deps.answer_seconds * 1e6),
        arms=run.arms,
    )


def kept(run: RequestContext, first: FirstPage) -> FirstPage:
    """Store the page's record, if possible, and count the exposures of its controls. Return the
    page.

    The ranker stores the records of answers that it ranked. Others are queued for it unless it is
    unreachable.
    """
    record, ordered, candidates = first.record, first.ordered, first.candidates
    deps, trace, controls, catalog_id = run.deps, run.trace, run.plan.controls, run.query.catalog_id
    if not ordered.by_ranker:
        record = changed(
            record,
            # A new id: the ranker may still record a late ranking under the first id.
            answer_id=os.urandom(16).hex(),
            versions=versions_of(trace, run.plan.scene, deps.service_version),
            degradations=degraded(trace, candidates),
            order=ordered.order,
            controls=ordered.acted,
        )
        unreachable = Peer.RANKER in trace.unreachable
        queued = not unreachable and deps.answers.offer(catalog_id, record)
        ordered = changed(ordered, recorded=queued)
    if ordered.by_ranker and controls:  # without the ranker, relevance is unknown
        shown = [item.row.product_id for item in first.page.results]
        note_goals(deps.goals, catalog_id, controls, candidates, shown=shown, merits=ordered.merits)
    if ordered.recorded:
        if acted := budgeted(controls, ordered.acted):
            deps.exposures.add(catalog_id, acted)
    else:
        trace.failures.append(StageFailure("record", DegradationCause.ANSWER_RECORD_DROPPED))
    first.record, first.ordered = record, ordered
    return first


def answer_of(run: RequestContext, first: FirstPage, activated: ControlOutcomes) -> RecommendAnswer:
    """Return the first page's answer, with a page token only if the record was stored."""
    record, ordered, page = first.record, first.ordered, first.page
    query, scene, trace, deps = run.query, run.plan.scene, run.trace, run.deps
    lost, match = degraded(trace, first.candidates), None
    named = found_by(page.results) if lost else ()
    versions = versions_of(trace, scene, deps.service_version)
    if not run.last_products.ids:
        match = best_match(query, scene, trace, first.listings, ordered.order)
    more = ordered.recorded and page.offset < ordered.order.total
    return RecommendAnswer(
        results=page.results,
        no_good_match=match is not None and match.is_poor,
        quality=answer_quality(query, scene, trace, lost, named),
        degradations=lost,
        timings=trace.by_start,
        versions=versions,
        freshness=trace.freshness,
        missing_product_ids=tuple(dict.fromkeys(trace.missing.values())),
        hidden_count=ordered.hidden_count,
        attribution_token=attribution(query, deps.keys(), record, versions),
        next_page_token=next_page(run.digests.callers, deps, record, page, match) if more else "",
        labels=trace.labels,
        unread=unread(query, run.plan, trace.labels),
        match=match,
        arms=record.arms,
        control_outcomes=(*activated, *first.outcomes),
        candidates=first.candidates.columns,
        corrected=corrected_queries(query.signals, trace.corrected),
        score_notes=tuple(trace.score_notes.values()),
        detections=trace.detections,
    )
