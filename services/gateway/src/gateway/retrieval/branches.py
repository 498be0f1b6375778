"""The branches, executed in parallel."""

from collections.abc import Mapping
from functools import partial

from gateway.model.controls import NO_OUTCOMES, ControlOutcomes
from gateway.model.errors import NothingAvailable, ProductNotFound, SpaceMissing
from gateway.model.query import FIRST_ANCHOR, RequestQuery, SignalKind, asked_at
from gateway.model.retrieved import NOTHING, BranchResult, merged
from gateway.retrieval.anchors import ResolvedAnchors, missing, resolve_anchors, unsearched
from gateway.retrieval.facets import count_facets
from gateway.retrieval.fallback import filled_up
from gateway.retrieval.given import given_products
from gateway.retrieval.keywords import by_words
from gateway.retrieval.labels import by_label
from gateway.retrieval.new import newest
from gateway.retrieval.personal import by_behaviour
from gateway.retrieval.similar import by_groups, by_signals, of_one_generation
from gateway.state.request_context import RequestContext
from servicekit.tasks.parallel import in_parallel
from sightline_core.branch import ABOUT, Branch
from sightline_core.candidates import CandidateList
from sightline_core.changed import changed
from sightline_core.degradations import DegradationCause
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class FoundCandidates:
    """The candidates of a request, before they are ordered."""

    run: RequestContext
    listings: tuple[CandidateList, ...]
    outcomes: ControlOutcomes = NO_OUTCOMES
    """Effects of controls that are known so far."""


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
    plan, trace = run.plan, run.trace
    jobs = [near_signals(run)] if plan.signalled else []
    if Branch.COLLABORATIVE in plan.branches or plan.recommenders or given:
        jobs.append(by_behaviour(run, given))
    if Branch.NEW in plan.branches:
        jobs.append(newest(run, Branch.NEW))
    if Branch.FOLLOWED in plan.branches:
        jobs.append(newest(run, Branch.FOLLOWED))
    by_looks = Branch.VISUAL in plan.branches
    if asked.about and kept is NOTHING and (places := unsearched(run.query, by_looks=by_looks)):
        stage = trace.stage("anchors", plan.ends.candidates)
        jobs.append(missing(places, asked.catalog_id, run.peers.retriever, stage))
    result = merged([kept, *await in_parallel(*jobs)])
    if trace.detections or (given and not asked.about):
        result = changed(result, missing={})  # the caller did not name these anchors
    trace.note(result)
    _refuse_if_all_missing(asked, result.missing)
    listings = result.listings
    if not any(len(item.ids) for item in listings if not item.negative):
        negative = (item for item in listings if item.negative)
        listings = (*await filled_up(run, (), result.popular), *negative)
    elif result.popular and (
        plan.by_history or ABOUT.isdisjoint([item.branch for item in listings])
    ):
        listings = await filled_up(run, listings, result.popular)
    return (*listings, *result.new)


async def search(run: RequestContext) -> FoundCandidates:
    """Return the results of the signals alone.

    Raises SpaceMissing if no signal has a space, else NothingAvailable if none could be searched.
    """
    facets = count_facets(run.query, run.plan, run.trace, run.peers.retriever)
    near, counted = await in_parallel(near_signals(run), facets)
    result = run.trace.note(merged([near, counted]))
    _refuse_if_all_missing(run.query, result.missing)
    if all(listing.negative for listing in result.listings):
        if run.trace.causes == {DegradationCause.SPACE_UNAVAILABLE}:
            asked = (signal.index for signal in run.query.wanted)
            raise SpaceMissing(place for place in asked if place not in result.missing)
        raise NothingAvailable(run.trace.causes)
    return FoundCandidates(run, result.listings)


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
    query = run.query
    if branch is Branch.LABELS:
        photos = [each for each in query.labelled if each in run.plan.labelled]
        return merged(await in_parallel(*(by_label(run, photo) for photo in photos)))
    if branch is Branch.KEYWORDS:
        texts = [each for each in query.signals if each.kind is SignalKind.TEXT]
        return merged(await in_parallel(*(by_words(run, text) for text in texts)))
    near = by_groups if run.last_products.ids else by_signals
    return await of_one_generation(branch, partial(near, run, branch))


def _refuse_if_all_missing(query: RequestQuery, missing: Mapping[int, str]) -> None:
    """Raise ProductNotFound if all requested products are missing from the catalog."""
    if not missing:
        return
    wanted = {signal.index for signal in query.wanted}
    wanted |= {FIRST_ANCHOR - place for place in range(len(query.anchors))}
    if wanted and wanted <= missing.keys():
        raise ProductNotFound(*map(asked_at, missing))
