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
from gateway.model.snapshot import CatalogSnapshot
from gateway.retrieval.new import BEHIND
from gateway.retrieval.ranker_candidates import generate, look_up, nominate_request
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from servicekit.tasks.off_loop import off_loop
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import ProductColumns, gathered
from sightline_core.ranking import NominationBasis, RankerCandidates
from sightline_rules.duplicates import NO_HASH
from sightline_rules.grouping import grouped


async def filled_up(
    run: RequestContext, listings: tuple[CandidateList, ...], candidates: RankerCandidates | None
) -> tuple[CandidateList, ...]:
    """Return the listings and, if they have too few products for some pages, popular products that
    pass the filter, followed by the newest ones until a page is full. Beside products like the
    shopper's last ones there are always some.

    Products that the snapshot proves to pass are returned if there are no others because something
    failed. `candidates`: popular products that the ranker returned for the shopper; None if it was
    not called. Raises NothingAvailable.
    """
    known, trace = {product_id for item in listings for product_id in item.ids}, run.trace
    # Without the record, the ranker's products can't be looked up.
    readable = Peer.RETRIEVER not in trace.unreachable
    enough = len(known) >= run.plan.top_k and not run.last_products.ids
    if listings and (enough or not readable):
        return listings
    more = trace.note(await _popular(run, candidates)).listings if readable else ()
    left_out, size = frozenset(run.left_out), run.query.results_a_page
    if readable and not any(distinct_count(each.columns, left_out) >= size for each in more):
        more = (*more, *trace.note(await _newest(run, (*listings, *more))).listings)
    if listings:
        return (*listings, *(replace(item, after=item.after + BEHIND) for item in more))
    if not more and (trace.failures or not readable):
        more = await list_snapshot(run)
        if not more:
            raise NothingAvailable(trace.causes)
    return more


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


async def proven(
    copy: CatalogSnapshot | None, ids: Sequence[str], scope: AnswerScope
) -> ProductColumns:
    """Return those of the products that the snapshot, if there is one, proves to pass."""
    if copy is None:
        return ProductColumns()
    steps = copy.steps(scope, len(ids))
    return copy.columns_of(await off_loop(steps, copy.passing(scope, ids)))


def _popular_before(copy: CatalogSnapshot | None) -> RankerCandidates | None:
    """Return the snapshot's popular products; None without a snapshot.

    The record decides which of them may be in the answer.
    """
    if copy is None or not copy.popular:
        return None
    return RankerCandidates(copy.popular[:MOST_ASKED], NominationBasis.POPULARITY, model_version="")


async def _popular(run: RequestContext, candidates: RankerCandidates | None) -> BranchResult:
    """Return popular products that pass the filter; no list if there are none or they can't be
    read."""
    query, plan, notes = run.query, run.plan, NOTHING
    if not plan.scene.popular_fallback:
        return NOTHING
    asked, until = plan.generated, plan.ends.fallback
    # A peer that has just failed is not called again.
    if candidates is None and Peer.RANKER not in run.trace.unreachable:
        asked = MOST_ASKED
        order = nominate_request(query, plan, None)
        stage = run.trace.stage("nominate", until)
        candidates, notes = await generate(order, Branch.POPULAR, run.peers.ranker, stage)
    if candidates is None:
        candidates = _popular_before(run.snapshot)
        if candidates is None:
            return notes
        asked = len(candidates.product_ids)
    ids, stage = candidates.product_ids, run.trace.stage("hydrate", until)
    columns, more = await look_up(
        ids, query.catalog_id, plan.scope, run.peers.retriever, stage, branch=Branch.POPULAR
    )
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
