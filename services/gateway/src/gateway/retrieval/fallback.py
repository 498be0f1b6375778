"""Fallbacks if the branches find too little: popular products, then the newest ones; those of the
snapshot if the record can't be read."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable
from gateway.model.plan import MOST_ASKED
from gateway.model.query import AnswerScope
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.retrieval.new import BEHIND
from gateway.retrieval.ranker_candidates import generate, look_up
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from servicekit.tasks.off_loop import off_loop
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import ProductColumns, gathered
from sightline_core.ranking import NominationBasis, RankerCandidates
from sightline_rules.duplicates import NO_HASH
from sightline_rules.grouping import grouped


async def fall_back(
    run: RequestContext, candidates: RankerCandidates | None
) -> tuple[CandidateList, ...]:
    """Return popular products that pass the filter, followed by the newest ones until a page is
    full.

    `candidates`: popular products that the ranker returned for the shopper; None if it was not
    called. Raises NothingAvailable.
    """
    if Peer.RETRIEVER in run.trace.unreachable:
        # The ranker's products could not be looked up.
        return await _last(run)
    popular = run.trace.note(await _popular(run, candidates)).listings
    if any(_fills_a_page(run, listing) for listing in popular):
        return popular
    listings = (*popular, *run.trace.note(await _newest(run, popular)).listings)
    if not listings and run.trace.failures:
        return await _last(run)
    return listings


async def filled_up(
    run: RequestContext, listings: tuple[CandidateList, ...], candidates: RankerCandidates
) -> tuple[CandidateList, ...]:
    """Return the listings and, if they have too few products for some pages, popular, then newest
    products. Beside products like the shopper's last ones there are always some."""
    known = {product_id for item in listings for product_id in item.ids}
    enough = len(known) >= run.plan.top_k and not run.last_products.ids
    if enough or Peer.RETRIEVER in run.trace.unreachable:
        return listings
    more = run.trace.note(await _popular(run, candidates)).listings
    if not any(_fills_a_page(run, item) for item in more):
        newest = await _newest(run, (*listings, *more))
        more = (*more, *run.trace.note(newest).listings)
    return (*listings, *(replace(item, after=item.after + BEHIND) for item in more))


async def _last(run: RequestContext) -> tuple[CandidateList, ...]:
    """Return the products that the snapshot proves to pass. Raises NothingAvailable."""
    listings = await list_snapshot(run)
    if not listings:
        raise NothingAvailable(run.trace.causes)
    return listings


async def list_snapshot(run: RequestContext) -> tuple[CandidateList, ...]:
    """Return the products that the snapshot proves to pass, as lists of the scene's fallbacks.

    Empty if there are none. Raises FilterInvalid.
    """
    run.trace.snapshot_listed = True
    copy, scene = run.snapshot, run.plan.scene
    if copy is None:
        return ()
    fallbacks = {Branch.POPULAR: scene.popular_fallback, Branch.NEW: scene.new_fallback}
    work = copy.listings(
        [branch for branch, used in fallbacks.items() if used],
        run.plan.scope,
        left_out=frozenset(run.left_out),
        near=() if run.plan.scope.other_categories else run.query.about,
        most=run.plan.top_k,
    )
    listings = await off_loop(copy.steps(run.plan.scope, len(copy.rows)), work)
    if listings:
        steps = [f"{item.branch}: {len(item.ids)} of the snapshot" for item in listings]
        run.trace.note(BranchResult(steps=(" → ".join(steps),)))
    return listings


async def proven(run: RequestContext, ids: Sequence[str], scope: AnswerScope) -> ProductColumns:
    """Return those of the products that the snapshot proves to pass."""
    copy = run.snapshot
    if copy is None:
        return ProductColumns()
    steps = copy.steps(scope, len(ids))
    return copy.columns_of(await off_loop(steps, copy.passing(scope, ids)))


def _popular_before(run: RequestContext) -> RankerCandidates | None:
    """Return the snapshot's popular products; None without a snapshot.

    The record decides which of them may be in the answer.
    """
    copy = run.snapshot
    if copy is None or not copy.popular:
        return None
    return RankerCandidates(copy.popular[:MOST_ASKED], NominationBasis.POPULARITY, model_version="")


def _fills_a_page(run: RequestContext, listing: CandidateList) -> bool:
    left = distinct_count(listing.columns, frozenset(run.left_out))
    return left >= run.query.results_a_page


async def _popular(run: RequestContext, candidates: RankerCandidates | None) -> BranchResult:
    """Return popular products that pass the filter; no list if there are none or they can't be
    read."""
    if not run.plan.scene.popular_fallback:
        return NOTHING
    asked, until, notes = run.plan.generated, run.plan.ends.fallback, NOTHING
    # A peer that has just failed is not called again.
    if candidates is None and Peer.RANKER not in run.trace.unreachable:
        asked = MOST_ASKED
        candidates, notes = await generate(run, None, Branch.POPULAR, until)
    if candidates is None:
        candidates = _popular_before(run)
        if candidates is None:
            return notes
        asked = len(candidates.product_ids)
    columns, more = await look_up(run, candidates.product_ids, Branch.POPULAR, until)
    if columns is None or not len(columns.product_ids):
        return merged([notes, more])
    listing = CandidateList(Branch.POPULAR, 1.0, columns)
    return merged([notes, BranchResult((listing,), steps=(f"{Branch.POPULAR}: top {asked}",))])


async def _newest(run: RequestContext, before: tuple[CandidateList, ...]) -> BranchResult:
    """Return the newest products that pass the filter, ranked after those of `before`."""
    if not run.plan.scene.new_fallback or Peer.RETRIEVER in run.trace.unreachable:
        return NOTHING
    known = frozenset(product_id for listing in before for product_id in listing.ids)
    # The retriever's list ignores exclusions and new products: request as many more.
    count = min(run.plan.top_k + len(run.left_out) + len(known), MOST_ASKED)
    try:
        async with run.trace.stage("retrieve", run.plan.ends.fallback):
            columns = await run.peers.retriever.newest(run.query.catalog_id, run.plan.scope, count)
    except ServiceError as error:
        return failed(Branch.NEW, Peer.RETRIEVER, error)
    step = f"{Branch.NEW}: top {count}"
    if before:
        run.trace.steps.append(step)
    rows = [row for row, item in enumerate(columns.product_ids) if item not in known]
    listing = CandidateList(Branch.NEW, 1.0, gathered([(columns, rows)]), after=len(known))
    return BranchResult((listing,), steps=() if before else (step,))


def distinct_count(columns: ProductColumns, left_out: Collection[str]) -> int:
    """Count the products that are not excluded, near-duplicates as one."""
    rows = [row for row, item in enumerate(columns.product_ids) if item not in left_out]
    families, hashes = columns.families, columns.image_hashes
    shown = [hashes[row] for row in rows] if hashes else [NO_HASH] * len(rows)
    return len(grouped([families[row] for row in rows], np.array(shown, np.uint64)).kept)
