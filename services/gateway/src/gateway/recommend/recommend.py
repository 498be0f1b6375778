"""A request from top to bottom: plan → branches → fuse → rank → page → answer."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.model.answer import FUSED, Answer, AnswerRecord, Order, Result
from gateway.model.candidates import Candidates, Listing
from gateway.model.causes import Cause, Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.failures import Failure
from gateway.model.messages import Degradation, Match, Versions
from gateway.model.peers import Ranked, RankOrder
from gateway.model.query import Query
from gateway.ranking.collapse import collapse
from gateway.ranking.controls import acting, lined_up, seated
from gateway.ranking.fallbacks import degradations
from gateway.ranking.freshness import signals
from gateway.ranking.fuse import by_signal, fuse, weighted
from gateway.ranking.match import is_poor
from gateway.recommend.controls import (
    controlled,
    count,
    last_place,
    note_gone,
    note_order,
    under_controls,
)
from gateway.recommend.match import judge
from gateway.recommend.pages import Cut, Rest, attribution, cut, later_page, next_page
from gateway.recommend.plan import make_plan, scened, weights_of
from gateway.recommend.quality import check_quality, page_quality
from gateway.recommend.validate import check
from gateway.retrieval.anchors import settled
from gateway.retrieval.branches import find
from gateway.retrieval.personal import anchors_of
from gateway.retrieval.snapshot import from_snapshot
from gateway.state import tokens
from gateway.state.run import Dependencies, Run
from gateway.state.trace import RequestTrace
from servicekit import deadlines, tracing
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Ordered:
    """The final order of an answer, or its first products, and what became of its record."""

    order: Order
    hidden_count: int = 0
    recorded: bool = False
    """Whether the ranker keeps the record; it keeps it of what it ranked alone."""
    rest: Rest | None = None
    match: Match | None = None
    """How good the best match is; None = no signal was searched for."""
    acted: tuple[str, ...] = ()
    """The controls that changed the first page."""


async def recommend(query: Query, deps: Dependencies) -> Answer:
    """Ranked, explained products; the answer reports what is degraded.

    Raises the caller's own errors, NothingAvailable when nothing could be answered, AnswerDegraded
    when only something poorer than asked for, and for a later page AnswerMissing.
    """
    check(query, deps.catalogs)
    run = begin(query, deps)
    with deadlines.within(run.plan.ends.answer):
        run = await under_controls(run)
        if query.page_token:
            return await later_page(run)
        run, about = await settled(run)
        return await _first_page(run, await find(run, about))


async def _first_page(run: Run, listings: tuple[Listing, ...]) -> Answer:
    """The answer out of what the branches named. Raises NothingAvailable, AnswerDegraded."""
    noted = len(run.trace.controls)
    with tracing.within("fuse"):
        found = fused(run, listings)
    candidates = await controlled(run, found)
    check_quality(run, degraded(run, candidates), candidates.named)
    record = _record(run, candidates)
    ordered = await ranked(run, candidates, record)
    is_ranked = ordered is not None
    ordered = ordered or unranked(run, candidates)
    last = run.trace.snapshot_listed or run.snapshot is None
    try:
        page = await cut(run, ordered.order, ordered.rest, whole=not last)
    except NothingAvailable:
        if last:
            raise
        # What of these products can be shown, and behind it what the snapshot names.
        del run.trace.controls[noted:]
        return await _first_page(run, (*listings, *from_snapshot(run)))
    if not page.results and run.trace.snapshot_listed:  # the shopper hid them all
        raise NothingAvailable(run.trace.causes)
    shown = [item.row.product_id for item in page.results]
    await note_gone(run, ordered.order.product_ids[: page.offset], shown)
    if run.query.explain:
        page = replace(page, results=split_by_signal(listings, page.results))
    if not is_ranked:
        record, kept = _keep(run, candidates, record, ordered)
        ordered = replace(ordered, recorded=kept)
    if ordered.recorded:
        count(run, ordered.acted)
    ordered = replace(ordered, match=judge(run, listings, ordered.order))
    return _answer(run, candidates, record, ordered, page)


def begin(query: Query, deps: Dependencies) -> Run:
    """Plan a checked request within the caller's deadline, else the default time."""
    trace, left = RequestTrace(), deadlines.remaining()
    given = deps.default_seconds if left is None else min(left, deps.longest_seconds)
    seconds = max(given - deps.reserve_seconds, 0.0)
    now, there = round(time.time() * 1e6), deps.experiments
    name, arms = there.answering(query, now) if there else (query.scene, ())
    scene = deps.scenes.get(name, query.catalog_id)
    digests, query = tokens.digests(query), scened(query, scene)
    plan = make_plan(query, scene, seconds)
    return Run(query, digests, plan, deps, trace, now, arms)


def fused(run: Run, listings: tuple[Listing, ...]) -> Candidates:
    """What the branches found, as one order."""
    return fuse(weighted(listings, run.plan.scene.branches), run.left_out, run.plan.most)


async def ranked(run: Run, candidates: Candidates, record: AnswerRecord) -> Ordered | None:
    """The first products of the ranker's order; None = it could not be had."""
    if not candidates.order:
        return None
    page = run.query.results_a_page
    ahead = max(run.plan.ahead, last_place(candidates))
    order = rank_order(run, candidates, ahead, page, record)
    answer = await rank(run, order)
    if answer is None:
        return None
    note_order(run, candidates, answer.order.product_ids, answer)
    if answer.collapsed_count:
        run.trace.steps.append(f"{answer.collapsed_count} collapsed")

    async def rest(_: int) -> Order:
        # The record of the first call stays. It may not be written yet, and so is not read here.
        again = await rank(
            run,
            replace(
                order,
                top_k=0,
                reason_count=0,
                record=None,
                # By the same model, also where the pinned one has come meanwhile.
                model_version=order.model_version and answer.model_version,
            ),
        )
        return Order() if again is None else again.order

    return Ordered(answer.order, answer.hidden_count, answer.recorded, rest, acted=answer.acted)


async def rank(run: Run, order: RankOrder) -> Ranked | None:
    """What the ranker answers; None = it failed, and that is noted."""
    try:
        if Peer.RANKER in run.trace.unreachable:
            raise PeerUnavailable(Peer.RANKER)
        async with run.trace.stage("rank", run.plan.ends.rank) as note:
            answer = await run.peers.ranker.rank(order)
            note.work = answer.work
    except ServiceError as error:
        run.trace.fail("rank", Peer.RANKER, error)
        if run.query.shopper is not None:
            run.trace.failures.append(Failure("rank", Cause.PROFILE_UNAVAILABLE))
        return None
    if "rank" not in run.trace.steps:  # the rest of an order is no further step
        run.trace.reported.extend(answer.degradations)
        run.trace.model_version = answer.model_version
        run.trace.steps.append("rank")
    return answer


def rank_order(
    run: Run,
    candidates: Candidates,
    top_k: int = 0,
    reason_count: int | None = None,
    record: AnswerRecord | None = None,
) -> RankOrder:
    """What the ranker is asked."""
    scene = run.plan.scene
    weights = weights_of(scene, candidates.named, candidates.similarities)
    return RankOrder(
        catalog_id=run.query.catalog_id,
        language_code=run.query.language_code,
        shopper=run.query.shopper,
        session_id=run.query.session_id,
        candidates=candidates,
        weights=weights,
        drop_seen=scene.drop_seen,
        seed=tokens.seed_of(run.digests.stored),
        diversity=scene.diversity,
        time_micros=run.time_micros,
        explain=run.query.explain,
        history_token=run.trace.history_token,
        top_k=top_k,
        reason_count=reason_count,
        record=record,
        anchors=anchors_of(run),
        signals=signals(candidates, weights, scene.half_life_hours, run.time_micros),
        page_size=run.query.results_a_page,
        model_version=scene.ranking.model,
    )


def split_by_signal(listings: Sequence[Listing], results: tuple[Result, ...]) -> tuple[Result, ...]:
    """The results with the similarity parts split by signal: only here is it known which signal
    said what."""
    shares = by_signal(listings, [item.answered.product_id for item in results])
    return tuple(
        replace(
            item,
            answered=replace(
                item.answered,
                contributions={
                    **item.answered.contributions,
                    **{
                        part: tuple((name, value * share) for name, share in shares[part][place])
                        for part, value in item.answered.parts
                        if part in shares
                    },
                },
            ),
        )
        for place, item in enumerate(results)
    )


def unranked(run: Run, candidates: Candidates) -> Ordered:
    """The order without the ranker."""
    if candidates.order:
        run.trace.steps.append("as fused")
    order, raised = lined_up(candidates, as_fused(candidates))
    order = seated(candidates, collapsed(run, candidates, order))
    note_order(run, candidates, order.product_ids, None)
    acted = acting(candidates, order, run.query.results_a_page, raised)
    return Ordered(order, acted=acted)


def collapsed(run: Run, candidates: Candidates, order: Order) -> Order:
    """The order with one product for each group of near-duplicates."""
    left = collapse(candidates, order)
    if left.total < order.total:
        run.trace.steps.append(f"{order.total - left.total} collapsed")
    return left


def as_fused(candidates: Candidates) -> Order:
    """The candidates in their fused order, which is the only part of their scores."""
    places = candidates.order
    scores = [candidates.fused[place] for place in places]
    return Order(
        product_ids=[candidates.columns.product_ids[place] for place in places],
        raw_scores=scores,
        parts=((FUSED, scores),),
        image_ids=[candidates.image_ids[place] for place in places],
        branches=[candidates.branches[place] for place in places],
        total=len(places),
    )


def _record(run: Run, candidates: Candidates) -> AnswerRecord:
    """What is to be kept of the answer, but for its order: that of the ranker, if it can be had."""
    return AnswerRecord(
        answer_id=secrets.token_hex(16),
        request_digest=run.digests.stored,
        shopper=run.query.shopper,
        versions=versions_of(run, "rank"),
        seed=tokens.seed_of(run.digests.stored),
        degradations=degraded(run, candidates),
        answer_micros=run.time_micros,
        expire_micros=run.time_micros + round(run.deps.answer_seconds * 1e6),
        arms=run.arms,
    )


def _keep(
    run: Run, candidates: Candidates, record: AnswerRecord, ordered: Ordered
) -> tuple[AnswerRecord, bool]:
    """The record of an answer that the ranker did not rank, and whether it is handed over: unless
    the ranker, which keeps it, is unreachable."""
    record = replace(
        record,
        # Under the first id the ranker may yet have kept what it ranked too late.
        answer_id=secrets.token_hex(16),
        versions=versions_of(run),
        degradations=degraded(run, candidates),
        order=ordered.order,
        controls=ordered.acted,
    )
    unreachable = Peer.RANKER in run.trace.unreachable
    return record, not unreachable and run.deps.answers.offer(run.query.catalog_id, record)


def _answer(
    run: Run, candidates: Candidates, record: AnswerRecord, ordered: Ordered, page: Cut
) -> Answer:
    """The first page's answer; later pages are promised only when the record was kept."""
    if not ordered.recorded:
        run.trace.failures.append(Failure("record", Cause.ANSWER_RECORD_DROPPED))
    lost, versions = degraded(run, candidates), versions_of(run)
    more = ordered.recorded and page.offset < ordered.order.total
    return Answer(
        results=page.results,
        no_good_match=is_poor(ordered.match),
        quality=page_quality(run, lost, page.results),
        degradations=lost,
        timings=run.trace.by_start,
        versions=versions,
        freshness=run.trace.freshness,
        missing_product_ids=tuple(dict.fromkeys(run.trace.missing.values())),
        hidden_count=ordered.hidden_count,
        attribution_token=attribution(run, replace(record, versions=versions)),
        next_page_token=next_page(run, record, page, ordered.match) if more else "",
        subjects=run.trace.signal_subjects,
        match=ordered.match,
        arms=record.arms,
        control_outcomes=run.trace.controls,
    )


def degraded(run: Run, candidates: Candidates) -> tuple[Degradation, ...]:
    """The degradations so far."""
    trace = run.trace
    return degradations(trace.failures, trace.reported, candidates.named, trace.snapshot_micros)


def versions_of(run: Run, *steps: str) -> Versions:
    """Which versions made the answer so far, and with further steps of its plan."""
    return Versions(
        spaces=tuple(sorted(run.trace.spaces, key=lambda item: item.space)),
        model_version=run.trace.model_version,
        scene=run.plan.scene.name,
        scene_version=run.plan.scene.version,
        plan=" → ".join((run.trace.plan, *steps)),
        service_version=run.deps.service_version,
    )
