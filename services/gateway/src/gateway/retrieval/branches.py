"""The branches, executed in parallel."""

from collections.abc import Mapping, Sequence

from gateway.model.errors import NothingAvailable, ProductNotFound, SpaceMissing
from gateway.model.query import FIRST_ANCHOR, RequestQuery, asked_at
from gateway.model.retrieved import NOTHING, BranchResult, merged
from gateway.retrieval.anchors import ResolvedAnchors, missing, resolve_anchors, unsearched
from gateway.retrieval.facets import count_facets
from gateway.retrieval.fallback import fall_back, filled_up
from gateway.retrieval.given import given_products
from gateway.retrieval.keywords import by_keywords
from gateway.retrieval.labels import by_labels
from gateway.retrieval.new import new_products, newest, of_followed
from gateway.retrieval.parallel import in_parallel
from gateway.retrieval.personal import by_behaviour
from gateway.retrieval.similar import similar
from gateway.state.request_context import RequestContext
from sightline_core.branch import ABOUT, Branch
from sightline_core.candidates import CandidateList
from sightline_core.changed import changed
from sightline_core.degradations import DegradationCause


async def find(
    run: RequestContext, anchors: ResolvedAnchors | None = None
) -> tuple[CandidateList, ...]:
    """Return the results of all branches of the plan; failed branches are noted and skipped.

    If they find nothing, or only trending products for an unknown shopper, popular products are
    added, then the newest ones. Empty if no product passes the filter. `anchors`: anchors resolved
    before; None: they are resolved here. Raises errors of the caller, and NothingAvailable if
    everything failed. A request with candidates gets these alone.
    """
    if run.query.candidates:
        return await given_products(run)
    if anchors is None:
        run, anchors = await resolve_anchors(run)
    asked, given, kept = anchors.asked, anchors.given, anchors.kept
    jobs = [near_signals(run)] if run.plan.signalled else []
    if Branch.COLLABORATIVE in run.plan.branches or run.plan.recommenders or given:
        jobs.append(by_behaviour(run, given))
    if Branch.NEW in run.plan.branches:
        weighed = run.plan.scene.branches[Branch.NEW] > 0
        jobs.append(newest(run) if weighed else new_products(run))
    if Branch.FOLLOWED in run.plan.branches:
        jobs.append(of_followed(run))
    if asked.about and kept is NOTHING and (places := unsearched(run)):
        jobs.append(missing(run, places))
    result = merged([kept, *await in_parallel(*jobs)])
    if run.trace.detections or (given and not asked.about):
        result = changed(result, missing={})  # the caller did not name these anchors
    run.trace.note(result)
    _refuse_if_all_missing(asked, result.missing)
    listings = result.listings
    if not any(len(item.ids) for item in listings if not item.negative):
        negative = (item for item in listings if item.negative)
        listings = (*await fall_back(run, result.popular), *negative)
    elif result.popular and _takes_popular(run, listings):
        listings = await filled_up(run, listings, result.popular)
    return (*listings, *result.new)


def _takes_popular(run: RequestContext, listings: Sequence[CandidateList]) -> bool:
    """Return whether popular products follow these lists."""
    return run.plan.by_history or ABOUT.isdisjoint(item.branch for item in listings)


async def search(run: RequestContext) -> tuple[CandidateList, ...]:
    """Return the results of the signals alone.

    Raises SpaceMissing if no signal has a space, else NothingAvailable if none could be searched.
    """
    near, counted = await in_parallel(near_signals(run), count_facets(run))
    result = run.trace.note(merged([near, counted]))
    _refuse_if_all_missing(run.query, result.missing)
    if all(listing.negative for listing in result.listings):
        if run.trace.causes == {DegradationCause.SPACE_UNAVAILABLE}:
            asked = (signal.index for signal in run.query.wanted)
            raise SpaceMissing(place for place in asked if place not in result.missing)
        raise NothingAvailable(run.trace.causes)
    return result.listings


async def near_signals(run: RequestContext) -> BranchResult:
    """Return the results of the signals that could be searched.

    Texts that the search by words has corrected are searched again in the spaces: no other request
    waits for a correction. A space that fails then keeps its first result.
    """
    branches = run.plan.signalled
    found = await in_parallel(*(_near(run, branch) for branch in branches))
    result = merged(found)
    if not result.corrected:
        return result
    again = [branch for branch in branches if branch in _OF_TEXTS]
    fixed = changed(run, query=run.query.with_texts(result.corrected))
    anew = dict(zip(again, await in_parallel(*(_near(fixed, each) for each in again)), strict=True))
    return merged(
        first if anew.get(branch, first).failures else anew.get(branch, first)
        for branch, first in zip(branches, found, strict=True)
    )


_OF_TEXTS = (Branch.TEXT, Branch.TEXT_VISUAL)


async def _near(run: RequestContext, branch: Branch) -> BranchResult:
    if branch is Branch.LABELS:
        return await by_labels(run)
    return await (by_keywords(run) if branch is Branch.KEYWORDS else similar(run, branch))


def _refuse_if_all_missing(query: RequestQuery, missing: Mapping[int, str]) -> None:
    """Raise ProductNotFound if all requested products are missing from the catalog."""
    if not missing:
        return
    wanted = {signal.index for signal in query.wanted}
    wanted |= {FIRST_ANCHOR - place for place in range(len(query.anchors))}
    if wanted and wanted <= missing.keys():
        raise ProductNotFound(*map(asked_at, missing))
