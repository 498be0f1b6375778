"""Final order of candidates: the ranker's, or that of the fusion if the ranker fails."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from gateway.model.causes import Peer
from gateway.model.controls import NO_OUTCOMES, ControlOutcomes
from gateway.model.errors import PeerUnavailable
from gateway.model.last_products import LastProducts, facts_of
from gateway.model.peer_failures import StageFailure
from gateway.model.plan import RequestPlan
from gateway.model.scene import AFFINITY
from gateway.ports import RankerPort
from gateway.ranking.fuse import by_signal, fuse
from gateway.ranking.near_duplicates import apart, collapse
from gateway.ranking.number_parts import computed_parts
from gateway.ranking.wording import of_last_products
from gateway.recommend.controls.moves import acting, apply_boosts, apply_pins
from gateway.recommend.controls.step import last_place, pin_outcomes
from gateway.recommend.one_stamp import compare_versions
from gateway.recommend.pages import Rest
from gateway.recommend.plan_request import weights_of
from gateway.retrieval.personal import anchors_of
from gateway.state import tokens
from gateway.state.request_context import RequestContext
from gateway.state.trace import RequestTrace
from servicekit.errors import ServiceError
from sightline_core.answer import FUSED, AnswerOrder, AnswerRecord, AnswerResult
from sightline_core.branch import SIMILARITY_BRANCHES
from sightline_core.candidates import CandidateList, FusedCandidates
from sightline_core.changed import changed
from sightline_core.columns import ProductColumns
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import Ranked, RankRequest
from sightline_core.score_notes import OBJECTIVE, NoteCause, ScoreNote
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class FinalOrder:
    """The final order of an answer, or its first products."""

    order: AnswerOrder
    by_ranker: bool
    hidden_count: int = 0
    recorded: bool = False
    """True if the ranker records the answer; it records only answers that it ranked."""
    rest: Rest | None = None
    """Reads the rest of the order; `None` if it is complete."""
    acted: tuple[str, ...] = ()
    """Names of the controls that changed the first page."""
    outcomes: ControlOutcomes = NO_OUTCOMES
    """Effects of pins."""
    merits: Mapping[str, float] = field(default_factory=dict)
    """By control: its products' share of the relevance."""


def fused(
    listings: Sequence[CandidateList], plan: RequestPlan, out: Sequence[str], shown: ProductColumns
) -> FusedCandidates:
    """Return the candidates of all lists, without those that are left out (`out`), and without
    those of earlier shelves (`shown`) and their near-duplicates."""
    found = fuse(listings, out, plan.most, plan.weights)
    return found.picked(apart(found.columns, shown)) if shown.product_ids else found


async def order_candidates(
    run: RequestContext, candidates: FusedCandidates, record: AnswerRecord | None
) -> FinalOrder:
    """Return the first products of the ranker's order, else the fused order. The ranker stores
    `record`, if any."""
    plan, trace, page = run.plan, run.trace, run.query.results_a_page
    if not candidates.order:
        return _unranked(plan, trace, candidates, page)
    ahead = plan.ahead
    if candidates.controls:
        ahead = max(ahead, last_place(candidates))
    order, ranker = rank_order(run, candidates, ahead, page, record), run.peers.ranker
    answer = await rank(order, ranker, trace, plan.ends.rank)
    if answer is None:
        return _unranked(plan, trace, candidates, page)
    if (last := run.last_products).ids:
        told = _explained(last, run.query.language_code, candidates, answer.order)
        answer = changed(answer, order=told)
    if answer.collapsed_count:
        trace.steps.append(f"{answer.collapsed_count} collapsed")

    async def rest(_: int) -> AnswerOrder:
        # The record of the first call is kept. It may not be written yet, so it is not read here.
        # The same model ranks again, even if the pinned one has been loaded meanwhile.
        model = order.model_version and answer.model_version
        whole = changed(order, top_k=0, reason_count=0, record=None, model_version=model)
        again = await rank(whole, ranker, trace, plan.ends.rank)
        return AnswerOrder() if again is None else again.order

    return FinalOrder(
        answer.order,
        by_ranker=True,
        hidden_count=answer.hidden_count,
        recorded=answer.recorded,
        rest=rest,
        acted=answer.acted,
        outcomes=pin_outcomes(plan.controls, candidates, answer.order.product_ids, answer),
        merits=answer.merits,
    )


def _explained(
    last: LastProducts, language: str, candidates: FusedCandidates, order: AnswerOrder
) -> AnswerOrder:
    """Return the order with reasons that name what products share with the shopper's last ones."""
    facts = dict(zip(candidates.columns.product_ids, facts_of(candidates.columns), strict=True))
    pairs = zip(order.product_ids, order.reasons, strict=False)
    told = [
        of_last_products(given, language, last.closest(*facts[item]), last.shared(*facts[item]))
        for item, given in pairs
    ]
    return changed(order, reasons=told)


def _unranked(
    plan: RequestPlan, trace: RequestTrace, candidates: FusedCandidates, page_size: int
) -> FinalOrder:
    """Return the fused order, collapsed and with controls applied."""
    if candidates.order:
        trace.steps.append("as fused")
    if candidates.order and plan.scene.applied_objective:
        trace.note_scores([ScoreNote(OBJECTIVE, NoteCause.NOT_APPLIED)])
    order, raised = apply_boosts(candidates, as_fused(candidates))
    order = apply_pins(candidates, collapsed(candidates, order, trace))
    return FinalOrder(
        order,
        by_ranker=False,
        acted=acting(candidates, order, page_size, raised),
        outcomes=pin_outcomes(plan.controls, candidates, order.product_ids, None),
    )


async def rank(
    order: RankRequest, ranker: RankerPort, trace: RequestTrace, until: float
) -> Ranked | None:
    """Return the ranker's response; None if it failed, which is noted in the trace."""
    try:
        if trace.failures and Peer.RANKER in trace.unreachable:
            raise PeerUnavailable(Peer.RANKER)
        async with trace.stage("rank", until) as note:
            answer = await ranker.rank(order)
            note.work = answer.work
    except ServiceError as error:
        trace.fail("rank", Peer.RANKER, error)
        if order.shopper is not None:
            trace.failures.append(StageFailure("rank", DegradationCause.PROFILE_UNAVAILABLE))
        return None
    compare_versions(trace, answer.model_version, history_changed=answer.history_changed)
    if "rank" not in trace.steps:  # the rest of an order is not a separate step
        trace.reported.extend(answer.degradations)
        trace.note_scores(answer.notes)
        trace.model_version = answer.model_version
        trace.steps.append("rank")
    return answer


def rank_order(
    run: RequestContext,
    candidates: FusedCandidates,
    top_k: int = 0,
    reason_count: int | None = None,
    record: AnswerRecord | None = None,
) -> RankRequest:
    """Return the request to the ranker."""
    scene = run.plan.scene
    own: Mapping[str, Sequence[float]] = {}
    if run.last_products.ids:
        own = affinities(run.last_products, candidates.columns)
        candidates = _shrunk(run.last_products.trust, candidates)
    weights = weights_of(scene, candidates.named, (*candidates.similarities, *own))
    computed = computed_parts(
        *(candidates, weights, scene.numbers, scene.half_life_hours, run.time_micros)
    )
    run.trace.note_scores(computed.notes)
    return RankRequest(
        catalog_id=run.query.catalog_id,
        language_code=run.query.language_code,
        shopper=run.query.shopper,
        session_id=run.query.session_id,
        candidates=candidates,
        weights=weights,
        drop_seen=scene.drop_seen,
        seed=record.seed if record else tokens.seed_of(run.digests.stored),
        diversity=scene.diversity,
        time_micros=run.time_micros,
        explain=run.query.explain,
        history_token=run.trace.history_token,
        top_k=top_k,
        reason_count=reason_count,
        record=record,
        anchors=anchors_of(run.query, scene, run.trace.anchors),
        signals={**computed.values, **own},
        objective=scene.applied_objective,
        page_size=run.query.results_a_page,
        model_version=scene.ranking.model,
    )


def affinities(last: LastProducts, columns: ProductColumns) -> Mapping[str, Sequence[float]]:
    """Return the part AFFINITY, by the shopper's last products."""
    trust = last.trust
    return {AFFINITY: [trust * each for each in last.affinities(columns)]}


def _shrunk(trust: float, candidates: FusedCandidates) -> FusedCandidates:
    """Return the candidates with similarities to the shopper's last products that count by how many
    these are."""
    similarities = {
        branch: [trust * each for each in values] if branch in SIMILARITY_BRANCHES else values
        for branch, values in candidates.similarities.items()
    }
    return replace(candidates, similarities=similarities)


def collapsed(candidates: FusedCandidates, order: AnswerOrder, trace: RequestTrace) -> AnswerOrder:
    """Return the order with one product for each group of near-duplicates."""
    left = collapse(candidates, order)
    if left.total < order.total:
        trace.steps.append(f"{order.total - left.total} collapsed")
    return left


def as_fused(candidates: FusedCandidates) -> AnswerOrder:
    """Return the candidates in their fused order; the score has the single part FUSED."""
    places = candidates.order
    scores = [*map(candidates.fused.__getitem__, places)]
    return AnswerOrder(
        product_ids=[*map(candidates.columns.product_ids.__getitem__, places)],
        raw_scores=scores,
        parts=((FUSED, scores),),
        image_ids=[*map(candidates.image_ids.__getitem__, places)],
        branches=[*map(candidates.branches.__getitem__, places)],
        total=len(places),
    )


def split_by_signal(
    listings: Sequence[CandidateList], results: tuple[AnswerResult, ...]
) -> tuple[AnswerResult, ...]:
    """Return the results with their similarity parts split by signal, which the ranker does not
    know."""
    shares = by_signal(listings, [item.answered.product_id for item in results])
    return tuple(
        item._replace(
            answered=item.answered._replace(
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
