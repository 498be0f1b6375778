"""The branches: where candidates come from, side by side, and what is tried when they name none."""

from dataclasses import dataclass

from gateway.model import (
    SIMILARITY_BRANCHES,
    Basis,
    Branch,
    Cause,
    Columns,
    Nominees,
    NothingAvailable,
    Peer,
    ProductNotFound,
    Shopper,
    SpaceMissing,
    gathered,
)
from gateway.ranking import collapse
from gateway.ranking.fuse import Listing
from gateway.recommend.plan import MOST_ASKED
from gateway.retrieval.keywords import by_words
from gateway.retrieval.new import fresh
from gateway.retrieval.personal import near_shopper
from gateway.retrieval.similar import side_by_side, similar
from gateway.state.trace import Run
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Haul:
    """What one branch brought in."""

    listings: tuple[Listing, ...] = ()
    popular: Nominees | None = None
    """Popular products that the ranker named for a shopper without history: they wait for the case
    that nothing else names candidates."""
    fresh: Listing | None = None
    """New products to give places to: they stand beside whatever is named."""


async def find(run: Run) -> tuple[Listing, ...]:
    """What all branches of the plan name; a lost branch is noted and left out.

    When they name nothing, what is popular, then what is newest. Empty when nothing passes the
    filter. Raises the caller's own errors, and NothingAvailable when everything is lost.
    """
    jobs = [_similar(run, branch) for branch in _signalled(run)]
    if Branch.COLLABORATIVE in run.plan.branches:
        jobs.append(_personal(run))
    if Branch.NEW in run.plan.branches:
        jobs.append(_fresh(run))
    hauls = await side_by_side(*jobs)
    _refuse_if_all_missing(run)
    listings = tuple(listing for haul in hauls for listing in haul.listings)
    if not any(len(item.columns.product_ids) for item in listings if not item.away):
        popular = next((haul.popular for haul in hauls if haul.popular is not None), None)
        away = (listing for listing in listings if listing.away)
        listings = (*await _fall_back(run, popular), *away)
    return (*listings, *(haul.fresh for haul in hauls if haul.fresh is not None))


async def search(run: Run) -> tuple[Listing, ...]:
    """What the signals alone name.

    Raises when no signal could be followed: SpaceMissing when none of them has a space, else
    NothingAvailable.
    """
    listings = await near_signals(run)
    _refuse_if_all_missing(run)
    if all(listing.away for listing in listings):
        causes = {loss.cause for loss in run.trail.losses}
        if causes == {Cause.SPACE_UNAVAILABLE}:
            asked = (signal.index for signal in run.query.wanted)
            raise SpaceMissing(place for place in asked if place not in run.trail.missing_places)
        raise NothingAvailable(causes)
    return listings


async def near_signals(run: Run) -> tuple[Listing, ...]:
    """The listings of the signals that could be followed; a lost branch is noted and left out."""
    hauls = await side_by_side(*(_similar(run, branch) for branch in _signalled(run)))
    return tuple(listing for haul in hauls for listing in haul.listings)


def _signalled(run: Run) -> list[Branch]:
    return [branch for branch in run.plan.branches if branch in SIMILARITY_BRANCHES]


def _refuse_if_all_missing(run: Run) -> None:
    """Where nothing is left of what is wanted; what is not wanted may be missing."""
    wanted, missing = run.query.wanted, run.trail.missing_places
    if wanted and all(signal.index in missing for signal in wanted):
        raise ProductNotFound(*(f"signals[{place}].product_id" for place in missing))


async def _personal(run: Run) -> Haul:
    """What fits the shopper: of a large catalogue out of the index, if that holds the model's
    products, else as the ranker names it."""
    branch, until = Branch.COLLABORATIVE, run.plan.ends.candidates
    nominees = await _nominate(run, run.query.shopper, branch, until, accept_vectors=True)
    if nominees is not None and nominees.vectors:
        near, beside = await side_by_side(_near_shopper(run, nominees), _named(run, nominees))
        if near is not None:
            run.trail.named.append(f"{branch}: top {run.plan.top_k} by {nominees.basis}, index")
            # An empty list would take half of the branch's weight.
            if beside is not None and len(beside.columns.product_ids):
                return Haul((near, beside))
            return Haul((near,))
        if Peer.RETRIEVER in run.trail.gone:
            return Haul()  # nominees could not be looked up either
        nominees = await _nominate(run, run.query.shopper, branch, until)
    if nominees is None:
        return Haul()
    if nominees.basis not in (Basis.LONG_TERM, Basis.SESSION):
        return Haul(popular=nominees)
    listing = await _named(run, nominees)
    if listing is None:
        return Haul()
    run.trail.named.append(f"{branch}: top {run.plan.nominees} by {nominees.basis}")
    return Haul((listing,))


async def _similar(run: Run, branch: Branch) -> Haul:
    return Haul(await (by_words(run) if branch is Branch.KEYWORDS else similar(run, branch)))


async def _fresh(run: Run) -> Haul:
    return Haul(fresh=await fresh(run))


async def _near_shopper(run: Run, nominees: Nominees) -> Listing | None:
    """What the index holds near the shopper; None = it could not be searched, or holds the products
    of no model that the ranker has."""
    try:
        return await near_shopper(run, nominees)
    except ServiceError as error:
        run.trail.fail(Branch.COLLABORATIVE, Peer.RETRIEVER, error)
        return None


async def _named(run: Run, nominees: Nominees) -> Listing | None:
    """The shopper's nominees that pass the filter; None = they could not be read."""
    branch = Branch.COLLABORATIVE
    columns = await _hydrate(run, nominees, branch, run.plan.ends.candidates)
    return None if columns is None else Listing(branch, 1.0, columns)


async def _fall_back(run: Run, nominees: Nominees | None) -> tuple[Listing, ...]:
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
    left = collapse.count(listing.columns, frozenset(run.query.left_out))
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
        nominees = await _nominate(run, None, Branch.POPULAR, until)
    if nominees is None:
        return None
    columns = await _hydrate(run, nominees, Branch.POPULAR, until)
    if columns is None or not len(columns.product_ids):
        return None
    run.trail.named.append(f"{Branch.POPULAR}: top {asked}")
    return Listing(Branch.POPULAR, 1.0, columns)


async def _nominate(
    run: Run,
    shopper: Shopper | None,
    branch: Branch,
    until: float,
    *,
    accept_vectors: bool = False,
) -> Nominees | None:
    try:
        async with run.trail.stage("nominate", until):
            nominees = await run.house.peers.ranker.nominate(
                run.query.catalog_id,
                shopper,
                run.query.session_id if shopper is not None else "",
                top_k=run.plan.nominees if shopper is not None else MOST_ASKED,
                exclude=run.query.left_out[:MOST_ASKED],
                accept_vectors=accept_vectors,
            )
    except ServiceError as error:
        run.trail.fail(branch, Peer.RANKER, error)
        return None
    run.trail.model_version = run.trail.model_version or nominees.model_version
    run.trail.heard(nominees.degradations)
    if shopper is not None:
        run.trail.history_token = nominees.history_token or run.trail.history_token
    return nominees


async def _hydrate(
    run: Run,
    nominees: Nominees,
    branch: Branch,
    until: float,
) -> Columns | None:
    """What the record says of nominees that pass the filter; None = it could not be read."""
    if not nominees.product_ids:
        return Columns()
    try:
        async with run.trail.stage("hydrate", until):
            return await run.house.peers.retriever.columns(
                run.query.catalog_id, nominees.product_ids[:MOST_ASKED], run.plan.scope
            )
    except ServiceError as error:
        run.trail.fail(branch, Peer.RETRIEVER, error)
        return None


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
