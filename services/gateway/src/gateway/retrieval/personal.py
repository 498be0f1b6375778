"""Candidates that fit a shopper, by behaviour, from the ranker or the index. The same call of the
ranker and the same read of the record also serve the scene's recommenders.

For a large catalog the index is searched with the shopper's vector. The ranker returns the vector
by the serving model and by its predecessor, whose products the index holds until those of the new
model are published. Rejections of the index tell which version it holds, so a promotion costs one
additional search and no failed request.
"""

from collections.abc import Collection
from itertools import chain

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.retrieval.parallel import in_parallel
from gateway.retrieval.ranker_candidates import generate, look_up
from gateway.retrieval.similar import search
from gateway.state.request_context import RequestContext
from servicekit.admission import access
from servicekit.errors import ServiceError
from sightline_core.branch import BY_HISTORY, OF_SHOPPERS, RECOMMENDERS, Branch
from sightline_core.candidates import CandidateList
from sightline_core.changed import changed
from sightline_core.columns import ProductColumns, gathered
from sightline_core.ranking import (
    NO_RECOMMENDERS,
    NominationBasis,
    RankerCandidates,
    Recommenders,
    RequestAnchors,
)
from sightline_core.search import NearestProducts

MOST_SEARCHES = 3
"""Maximum number of searches of a request: another generation may become active in between."""
MOST_LAST = 10
"""Maximum number of a shopper's last products that find others."""
BRANCH = Branch.COLLABORATIVE


FromRanker = tuple[RankerCandidates | None, BranchResult]
"""The ranker's candidates (`None` if unavailable) and notes."""


async def ask_ranker(run: RequestContext) -> FromRanker:
    """Ask the ranker for products by behaviour and by the scene's recommenders, in one call."""
    personal = BRANCH in run.plan.branches
    candidates, notes = await generate(
        run,
        run.query.shopper,
        BRANCH,
        run.plan.ends.candidates,
        accept_vectors=personal,
        recommenders=recommenders_of(run, only=not personal),
    )
    if candidates is not None:
        _note_history(run, candidates)
    return candidates, notes


def _note_history(run: RequestContext, candidates: RankerCandidates) -> None:
    """Count a read of the shopper's history, if a recommender of the scene answers it, or the
    answer follows products of it, which its reasons name."""
    shopper = run.query.shopper
    followed = candidates.last_products or (candidates.anchors and not run.query.about)
    if shopper is not None and (followed or not OF_SHOPPERS.isdisjoint(run.plan.recommenders)):
        run.deps.history_reads.note(access.caller.get().name, run.query.catalog_id, shopper.id)


async def by_behaviour(run: RequestContext, given: FromRanker | None = None) -> BranchResult:
    """Return candidates that fit the shopper, and those of recommenders.

    For a large catalog they come from the index, if it holds the model's products, else from the
    ranker. `given`: response of an earlier call of the ranker.
    """
    candidates, notes = given or await ask_ranker(run)
    if candidates is not None and candidates.vectors:
        near, beside = await in_parallel(
            _near_shopper(run, candidates), _looked_up(run, candidates)
        )
        if near.listings:
            # An empty list would take half of the branch's weight.
            named = tuple(item for item in beside.listings if len(item.ids))
            return merged([notes, near, changed(beside, listings=named)])
        counted = tuple(item for item in beside.listings if item.branch is not BRANCH)
        notes = changed(merged([notes, near, beside]), listings=counted)
        if any(failure.unreachable is Peer.RETRIEVER for failure in notes.failures):
            return notes  # no other candidates could be looked up either
        asked = changed(recommenders_of(run), names=())
        until = run.plan.ends.candidates
        candidates, more = await generate(run, run.query.shopper, BRANCH, until, recommenders=asked)
        notes = merged([notes, more])
    if candidates is None:
        return notes
    if BRANCH not in run.plan.branches:
        candidates = changed(candidates, product_ids=())
    elif candidates.basis not in (NominationBasis.LONG_TERM, NominationBasis.SESSION):
        notes = changed(notes, popular=candidates)
        candidates = changed(candidates, product_ids=())
    return merged([notes, await _looked_up(run, candidates)])


async def _looked_up(run: RequestContext, candidates: RankerCandidates) -> BranchResult:
    """Return the ranker's lists with the products that pass the filter; no list if they can't be
    read.

    All lists are read together; if they exceed the limit of one read, the best of each.
    """
    lists = candidates.lists
    named = [candidates.product_ids, *(item.product_ids for item in lists)]
    each = MOST_ASKED // max(len([ids for ids in named if ids]), 1)
    first = dict.fromkeys(chain.from_iterable([ids[:each] for ids in named]))
    own = BRANCH in run.plan.branches
    stage = BRANCH if own else next(iter(run.plan.recommenders), BRANCH)
    columns, notes = await look_up(run, tuple(first), stage, run.plan.ends.candidates)
    if columns is None:
        return notes
    found, steps = list[CandidateList](), list[str]()
    if candidates.product_ids:
        found.append(CandidateList(BRANCH, 1.0, picked(columns, candidates.product_ids)))
        if not candidates.vectors:
            steps.append(f"{BRANCH}: top {run.plan.generated} by {candidates.basis}")
    for item in lists:
        scores = dict(zip(item.product_ids, item.scores, strict=True))
        left = picked(columns, scores)
        steps.append(f"{item.recommender}: top {run.plan.generated}")
        if left.product_ids:
            near = [scores[product_id] for product_id in left.product_ids]
            found.append(CandidateList(Branch(item.recommender), 1.0, left, near))
    return BranchResult(tuple(found), steps=tuple(steps))


def picked(columns: ProductColumns, ids: Collection[str]) -> ProductColumns:
    """Return the columns of those of these products that they contain, in the columns' order."""
    if len(ids) >= len(columns.product_ids) and set(columns.product_ids) <= set(ids):
        return columns
    wanted = frozenset(ids)
    rows = [row for row, item in enumerate(columns.product_ids) if item in wanted]
    return gathered([(columns, rows)])


def recommenders_of(run: RequestContext, *, only: bool = False) -> Recommenders:
    """Return the recommenders to request in addition to behaviour."""
    names, anchors, by_history = run.plan.recommenders, anchors_of(run), run.plan.by_history
    if not names and not anchors and not by_history:
        return NO_RECOMMENDERS
    own = run.query.filter
    asked = Recommenders(names, anchors, () if own is None else own.category_path, only)
    if not by_history:
        return asked
    weights = run.plan.scene.parts_with_history
    counted = tuple(each for each in BY_HISTORY if each in RECOMMENDERS and weights.get(each))
    return changed(asked, last_products=MOST_LAST, of_last_products=counted)


def anchors_of(run: RequestContext) -> RequestAnchors:
    """Return the anchors that are known so far."""
    ids, source = run.query.about or run.trace.anchors, run.plan.scene.anchors_from
    if ids or run.query.shopper is None or not source.is_history:
        return RequestAnchors(ids)
    return RequestAnchors(source=source)


async def _near_shopper(run: RequestContext, candidates: RankerCandidates) -> BranchResult:
    """Return the products in the index nearest to the shopper.

    No list if the search failed, or the index holds no version of a model that the ranker has.
    """
    try:
        found = await _searched(run, candidates)
    except ServiceError as error:
        return failed(BRANCH, Peer.RETRIEVER, error)
    if found is None:
        return NOTHING
    # An inner product is not a similarity: only the order counts, as for the ranker's candidates.
    listing = CandidateList(BRANCH, 1.0, found.columns, collapsed=found.collapsed)
    step = f"{BRANCH}: top {run.plan.top_k} by {candidates.basis}, index"
    return BranchResult((listing,), found=(found,), steps=(step,))


async def _searched(run: RequestContext, candidates: RankerCandidates) -> NearestProducts | None:
    """Return the best products for the shopper; None if the index holds no version of a model that
    the ranker has.

    Raises ServiceError.
    """
    vectors = {vector.space_version: vector for vector in candidates.vectors}
    catalog_id, versions = run.query.catalog_id, run.deps.versions
    version = versions.of(catalog_id, BRANCH)
    if version not in vectors:
        version = next(iter(vectors))
    for _ in range(MOST_SEARCHES):
        try:
            return await search(run, vectors[version], candidates.exclude)
        except ServiceError as error:
            if error.reason == "SPACE_UNAVAILABLE":
                return None
            if error.reason != "INDEX_VERSION_MISMATCH":
                raise
            version = error.metadata.get("held", "")
            if version not in vectors:
                return None
            versions.learn(catalog_id, BRANCH, version)
    return None
