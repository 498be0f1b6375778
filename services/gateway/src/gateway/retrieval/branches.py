"""The branches: where candidates come from, side by side, and what is tried when they name none."""

from gateway.model.branch import SIMILARITY_BRANCHES, Branch
from gateway.model.candidates import Listing
from gateway.model.causes import Cause
from gateway.model.errors import NothingAvailable, ProductNotFound, SpaceMissing
from gateway.model.retrieved import BranchResult
from gateway.retrieval.fallback import fall_back
from gateway.retrieval.keywords import by_words
from gateway.retrieval.new import fresh
from gateway.retrieval.parallel import in_parallel
from gateway.retrieval.personal import personal
from gateway.retrieval.similar import similar
from gateway.state.run import Run


async def find(run: Run) -> tuple[Listing, ...]:
    """What all branches of the plan name; a lost branch is noted and left out.

    When they name nothing, what is popular, then what is newest. Empty when nothing passes the
    filter. Raises the caller's own errors, and NothingAvailable when everything is lost.
    """
    jobs = [_similar(run, branch) for branch in _signalled(run)]
    if Branch.COLLABORATIVE in run.plan.branches:
        jobs.append(personal(run))
    if Branch.NEW in run.plan.branches:
        jobs.append(_fresh(run))
    hauls = await in_parallel(*jobs)
    _refuse_if_all_missing(run)
    listings = tuple(listing for haul in hauls for listing in haul.listings)
    if not any(len(item.columns.product_ids) for item in listings if not item.away):
        popular = next((haul.popular for haul in hauls if haul.popular is not None), None)
        away = (listing for listing in listings if listing.away)
        listings = (*await fall_back(run, popular), *away)
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
    hauls = await in_parallel(*(_similar(run, branch) for branch in _signalled(run)))
    return tuple(listing for haul in hauls for listing in haul.listings)


def _signalled(run: Run) -> list[Branch]:
    return [branch for branch in run.plan.branches if branch in SIMILARITY_BRANCHES]


def _refuse_if_all_missing(run: Run) -> None:
    """Where nothing is left of what is wanted; what is not wanted may be missing."""
    wanted, missing = run.query.wanted, run.trail.missing_places
    if wanted and all(signal.index in missing for signal in wanted):
        raise ProductNotFound(*(f"signals[{place}].product_id" for place in missing))


async def _similar(run: Run, branch: Branch) -> BranchResult:
    return BranchResult(
        await (by_words(run) if branch is Branch.KEYWORDS else similar(run, branch))
    )


async def _fresh(run: Run) -> BranchResult:
    return BranchResult(fresh=await fresh(run))
