"""What is tried when the branches name nothing: popular products, then the newest."""

from collections.abc import Collection

import numpy as np

from gateway.model.branch import Branch
from gateway.model.candidates import Listing
from gateway.model.causes import Peer
from gateway.model.columns import Columns, gathered
from gateway.model.errors import NothingAvailable
from gateway.model.peers import Nominees
from gateway.model.plan import MOST_ASKED
from gateway.retrieval.personal import hydrate, nominate
from gateway.state.run import Run
from servicekit.errors import ServiceError
from sightline_rules.grouping import grouped, near_pictures


async def fall_back(run: Run, nominees: Nominees | None) -> tuple[Listing, ...]:
    """What is popular, then, until a page is full, what is newest, in the filter's scope."""
    if Peer.RETRIEVER in run.trail.gone:
        # Whatever the ranker named could not be looked up.
        raise NothingAvailable(loss.cause for loss in run.trail.losses)
    popular = await _popular(run, nominees)
    if popular is not None and _fills_a_page(run, popular):
        return (popular,)
    newest = await _newest(run, popular)
    listings = tuple(listing for listing in (popular, newest) if listing is not None)
    if not listings and run.trail.losses:
        raise NothingAvailable(loss.cause for loss in run.trail.losses)
    return listings


def _fills_a_page(run: Run, listing: Listing) -> bool:
    left = distinct_count(listing.columns, frozenset(run.query.left_out))
    return left >= run.query.results_a_page


async def _popular(run: Run, nominees: Nominees | None) -> Listing | None:
    """Popular products that pass the filter; None = none, or they could not be had.

    `nominees` are those that the ranker named for the shopper; None = it was not asked yet.
    """
    if not run.plan.scene.popular_fallback:
        return None
    asked, until = run.plan.nominees, run.plan.ends.fallback
    # A peer that did not answer a moment ago is not asked a second time.
    if nominees is None and Peer.RANKER not in run.trail.gone:
        asked = MOST_ASKED
        nominees = await nominate(run, None, Branch.POPULAR, until)
    if nominees is None:
        return None
    columns = await hydrate(run, nominees, Branch.POPULAR, until)
    if columns is None or not len(columns.product_ids):
        return None
    run.trail.named.append(f"{Branch.POPULAR}: top {asked}")
    return Listing(Branch.POPULAR, 1.0, columns)


async def _newest(run: Run, before: Listing | None) -> Listing | None:
    """The newest products that pass the filter, going on after `before`; None = not to be had."""
    if not run.plan.scene.new_fallback or Peer.RETRIEVER in run.trail.gone:
        return None
    named = before.columns.product_ids if before is not None else ()
    # The retriever's list knows neither of them: as many more are asked for.
    count = min(run.plan.top_k + len(run.query.left_out) + len(named), MOST_ASKED)
    try:
        async with run.trail.stage("retrieve", run.plan.ends.fallback):
            columns = await run.house.peers.retriever.newest(
                run.query.catalog_id, run.plan.scope, count
            )
    except ServiceError as error:
        run.trail.fail(Branch.NEW, Peer.RETRIEVER, error)
        return None
    done = f"{Branch.NEW}: top {count}"
    (run.trail.named if before is None else run.trail.steps).append(done)
    known = frozenset(named)
    rows = [row for row, item in enumerate(columns.product_ids) if item not in known]
    return Listing(Branch.NEW, 1.0, gathered([(columns, rows)]), after=len(named))


def distinct_count(columns: Columns, left_out: Collection[str]) -> int:
    """How many products stay of those not left out, near-duplicates counted as one."""
    rows = [row for row, item in enumerate(columns.product_ids) if item not in left_out]
    families, hashes = columns.families, columns.image_hashes
    shown = np.array([hashes[row] for row in rows] if hashes else (), np.uint64)
    near, _ = near_pictures(shown)
    return len(grouped([families[row] for row in rows], near.tolist()).kept)
