"""A request from top to bottom: plan → branches → fuse → rank → page → answer."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway import tokens
from gateway.branches import find
from gateway.collapse import collapse
from gateway.fallbacks import degradations, reasons_for
from gateway.fuse import Listing, by_signal, fuse, weighted
from gateway.model import (
    Answer,
    AnsweredProduct,
    AnswerRecord,
    Branch,
    Candidates,
    Cause,
    Degradation,
    Peer,
    PeerUnavailable,
    Query,
    Ranked,
    RankOrder,
    Scene,
    Versions,
)
from gateway.pages import Cut, attribution, cut, later_page, next_page
from gateway.plan import make_plan
from gateway.ports import House
from gateway.trail import Run, Trail
from gateway.validate import check
from servicekit import deadlines
from servicekit.errors import ServiceError

REASONED, REASONED_PAGES = 100, 2
"""So many of the first products, and pages, have the ranker's reasons; what is further down has our
own. To word reasons takes the ranker longer than all the rest."""


async def recommend(query: Query, house: House) -> Answer:
    """Ranked, explained products; what was lost on the way is said in the answer.

    Raises the caller's own errors, NothingAvailable when nothing could be answered, and for a later
    page AnswerMissing.
    """
    check(query, house.catalogs)
    run = begin(query, house)
    with deadlines.within(run.plan.ends.answer):
        if query.page_token:
            return await later_page(run)
        listings = await find(run)
        candidates = fused(run, listings)
        ranked, hidden = await ordered(run, candidates)
        products = collapsed(run, candidates, split_by_signal(run, listings, ranked))
        page = await cut(run, products)
        record = _record(run, candidates, products, hidden)
        kept = _keep(run, record)
        return _answer(run, candidates, record, page, kept=kept)


def begin(query: Query, house: House) -> Run:
    """Plan a checked request within the caller's deadline, else the house's own time."""
    trail, left = Trail(), deadlines.remaining()
    given = house.default_seconds if left is None else min(left, house.longest_seconds)
    seconds = max(given - house.reserve_seconds, 0.0)
    plan = make_plan(query, house.scenes.get(query.scene), seconds)
    return Run(query, tokens.digests(query), plan, house, trail, round(time.time() * 1e6))


def fused(run: Run, listings: tuple[Listing, ...]) -> Candidates:
    """What the branches named, as one order."""
    scene = run.plan.scene
    return fuse(weighted(listings, scene.branches), run.query.left_out, run.plan.most)


async def ordered(run: Run, candidates: Candidates) -> tuple[tuple[AnsweredProduct, ...], int]:
    """The final order of all candidates and how many were hidden; without the ranker as fused."""
    if not candidates.rows:
        return (), 0
    try:
        if Peer.RANKER in run.trail.gone:
            raise PeerUnavailable(Peer.RANKER)
        async with run.trail.stage("rank", run.plan.ends.rank) as note:
            ranked = await run.house.peers.ranker.rank(rank_order(run, candidates))
            note.work = ranked.work
    except ServiceError as error:
        run.trail.fail("rank", Peer.RANKER, error)
        if run.query.shopper is not None:
            run.trail.lose("rank", Cause.PROFILE_UNAVAILABLE)
        run.trail.steps.append("as fused")
        return as_fused(candidates, run.query.language_code), 0
    run.trail.heard(ranked.degradations)
    run.trail.model_version = ranked.model_version
    run.trail.steps.append("rank")
    return _ranked(candidates, ranked, run.query.language_code), ranked.hidden_count


def rank_order(run: Run, candidates: Candidates) -> RankOrder:
    """What the ranker is asked."""
    scene = run.plan.scene
    return RankOrder(
        catalog_id=run.query.catalog_id,
        language_code=run.query.language_code,
        shopper=run.query.shopper,
        session_id=run.query.session_id,
        candidates=candidates,
        weights=weights_of(scene, candidates),
        drop_seen=scene.drop_seen,
        seed=tokens.seed_of(run.digests.stored),
        diversity=scene.diversity,
        time_micros=run.time_micros,
        explain=run.query.explain,
        reason_count=(
            None if run.query.explain else max(REASONED, REASONED_PAGES * run.query.results_a_page)
        ),
    )


def weights_of(scene: Scene, candidates: Candidates) -> Mapping[str, float]:
    """How much each part of the candidates' raw scores counts.

    Where the signals name none, but say what is not wanted, that counts as it does otherwise.
    """
    if candidates.named_by_signals:
        return scene.parts_with_signals
    away = {str(part): scene.parts_with_signals.get(part, 0.0) for part in candidates.similarities}
    return {**scene.parts_without_signals, **away} if away else scene.parts_without_signals


def _ranked(
    candidates: Candidates, ranked: Ranked, language_code: str
) -> tuple[AnsweredProduct, ...]:
    rows = {row.product_id: row for row in candidates.rows}
    return tuple(
        AnsweredProduct(
            product_id=product_id,
            raw_score=ranked.raw_scores[place],
            parts=tuple((name, values[place]) for name, values in ranked.parts),
            reasons=reasons_for(rows[product_id], ranked.reasons[place], language_code),
            matched_image_id=rows[product_id].image_id,
            branches=rows[product_id].branches,
            score=ranked.scores[place] if ranked.scores else None,
            score_rank=ranked.score_ranks[place] if ranked.score_ranks else place + 1,
            moves=ranked.moves[place] if ranked.moves else (),
            propensity=ranked.propensities[place] if ranked.propensities else 1.0,
            addends={
                part: column[place]
                for part, column in ranked.addends.items()
                if place < len(column)
            },
        )
        for place, product_id in enumerate(ranked.product_ids)
        if product_id in rows
    )


def split_by_signal(
    run: Run, listings: Sequence[Listing], order: tuple[AnsweredProduct, ...]
) -> tuple[AnsweredProduct, ...]:
    """The order with the similarity parts split by signal, where the request asks for it: only
    here is it known which signal said what."""
    if not run.query.explain:
        return order
    shares = by_signal(listings, [item.product_id for item in order])
    return tuple(
        replace(
            item,
            addends={
                **item.addends,
                **{
                    part: tuple((name, value * share) for name, share in shares[part][place])
                    for part, value in item.parts
                    if part in shares
                },
            },
        )
        for place, item in enumerate(order)
    )


def collapsed(
    run: Run, candidates: Candidates, order: tuple[AnsweredProduct, ...]
) -> tuple[AnsweredProduct, ...]:
    """The order with one product for each group of near-duplicates."""
    products = collapse(candidates, order)
    if len(products) < len(order):
        run.trail.steps.append(f"{len(order) - len(products)} collapsed")
    return products


def as_fused(candidates: Candidates, language_code: str = "") -> tuple[AnsweredProduct, ...]:
    """The candidates in their fused order, which is the only part of their scores."""
    return tuple(
        AnsweredProduct(
            product_id=row.product_id,
            raw_score=row.fused,
            parts=(("fusion", row.fused),),
            reasons=reasons_for(row, (), language_code),
            matched_image_id=row.image_id,
            branches=row.branches,
            score_rank=place,
            propensity=1.0,
        )
        for place, row in enumerate(candidates.rows, start=1)
    )


def _record(
    run: Run, candidates: Candidates, products: tuple[AnsweredProduct, ...], hidden: int
) -> AnswerRecord:
    return AnswerRecord(
        answer_id=uuid.uuid4().hex,
        request_digest=run.digests.stored,
        shopper=run.query.shopper,
        versions=versions_of(run),
        seed=tokens.seed_of(run.digests.stored),
        products=tuple(replace(item, addends={}) if item.addends else item for item in products),
        degradations=lost(run, candidates),
        answer_micros=run.time_micros,
        expire_micros=run.time_micros + round(run.house.answer_seconds * 1e6),
        hidden_count=hidden,
    )


def _keep(run: Run, record: AnswerRecord) -> bool:
    """Hand the record over, unless the ranker, which keeps it, is gone; a dropped one is noted."""
    gone = Peer.RANKER in run.trail.gone
    if not gone and run.house.answers.offer(run.query.catalog_id, record):
        return True
    run.trail.lose("record", Cause.ANSWER_RECORD_DROPPED)
    return False


def _answer(
    run: Run, candidates: Candidates, record: AnswerRecord, page: Cut, *, kept: bool
) -> Answer:
    """The first page's answer; later pages are promised only when the record was kept."""
    poor = _no_good_match(run, candidates)
    more = kept and page.offset < len(record.products)
    return Answer(
        results=page.results,
        no_good_match=poor,
        degradations=lost(run, candidates),
        timings=run.trail.by_start,
        versions=record.versions,
        freshness=run.trail.freshness,
        missing_product_ids=tuple(dict.fromkeys(run.trail.missing_places.values())),
        hidden_count=record.hidden_count,
        attribution_token=attribution(run, record),
        next_page_token=next_page(run, record, page, no_good_match=poor) if more else "",
        subjects=run.trail.subjects,
    )


def _no_good_match(run: Run, candidates: Candidates) -> bool:
    """Whether an index was searched and nothing in it is near what is wanted."""
    if not run.query.wanted or all(
        space.space == Branch.COLLABORATIVE for space in run.trail.spaces
    ):
        return False
    near = [row.similarity for row in candidates.rows if row.similarity is not None]
    return not near or max(near) < (run.query.min_quality or run.plan.scene.min_quality)


def lost(run: Run, candidates: Candidates) -> tuple[Degradation, ...]:
    """What was lost so far."""
    named = {branch for row in candidates.rows for branch in row.branches}
    return degradations(
        run.trail.losses, run.trail.told, tuple(branch for branch in Branch if branch in named)
    )


def versions_of(run: Run) -> Versions:
    """Which versions made the answer so far."""
    return Versions(
        spaces=tuple(sorted(run.trail.spaces, key=lambda item: item.space)),
        model_version=run.trail.model_version,
        scene=run.plan.scene.name,
        scene_version=run.plan.scene.version,
        plan=run.trail.plan,
        service_version=run.house.service_version,
    )
