"""Candidates that fit a shopper, by behaviour, from the ranker or the index. The same call of the
ranker and the same read of the record also serve the scene's recommenders.

For a large catalog the index is searched with the shopper's vector. The ranker returns the vector
by the serving model and by its predecessor, whose products the index holds until those of the new
model are published. Rejections of the index tell which version it holds, so a promotion costs one
additional search and no failed request.
"""

from collections.abc import Collection
from functools import partial
from itertools import chain

from gateway.model.causes import Peer
from gateway.model.plan import MOST_ASKED, RequestPlan
from gateway.model.query import RequestQuery
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.model.scene import Scene
from gateway.ports import RetrieverPort
from gateway.retrieval.ranker_candidates import generate, look_up, nominate_request
from gateway.retrieval.similar import search
from gateway.state.request_context import RequestContext
from gateway.state.trace import RequestTrace
from servicekit.admission import access
from servicekit.errors import ServiceError
from servicekit.tasks.parallel import in_parallel
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

MOST_SEARCHES = 3
"""Maximum number of searches of a request: another generation may become active in between."""
MOST_LAST = 10
"""Maximum number of a shopper's last products that find others."""
BRANCH = Branch.COLLABORATIVE


FromRanker = tuple[RankerCandidates | None, BranchResult]
"""The ranker's candidates (`None` if unavailable) and notes."""


async def ask_ranker(run: RequestContext) -> FromRanker:
    """Ask the ranker for products by behaviour and by the scene's recommenders, in one call.

    A read of the shopper's history is counted: if a recommender of the scene answers it, or the
    answer follows products of it, which its reasons name.
    """
    query, plan, shopper = run.query, run.plan, run.query.shopper
    personal, anchors = BRANCH in plan.branches, anchors_of(query, plan.scene, run.trace.anchors)
    recommenders = recommenders_of(query, plan, anchors, only=not personal)
    order = nominate_request(query, plan, shopper, recommenders, accept_vectors=personal)
    stage = run.trace.stage("nominate", plan.ends.candidates)
    candidates, notes = await generate(order, BRANCH, run.peers.ranker, stage)
    if candidates is not None and shopper is not None:
        followed = candidates.last_products or (candidates.anchors and not query.about)
        if followed or not OF_SHOPPERS.isdisjoint(plan.recommenders):
            run.deps.history_reads.note(access.caller.get().name, query.catalog_id, shopper.id)
    return candidates, notes


async def by_behaviour(run: RequestContext, given: FromRanker | None = None) -> BranchResult:
    """Return candidates that fit the shopper, and those of recommenders.

    For a large catalog they come from the index, if it holds the model's products, else from the
    ranker. `given`: response of an earlier call of the ranker.
    """
    query, plan = run.query, run.plan
    look_up_lists = partial(_looked_up, plan, query.catalog_id, run.peers.retriever, run.trace)
    candidates, notes = given or await ask_ranker(run)
    if candidates is not None and candidates.vectors:
        near, beside = await in_parallel(_near_shopper(run, candidates), look_up_lists(candidates))
        if near.listings:
            # An empty list would take half of the branch's weight.
            named = tuple(item for item in beside.listings if len(item.ids))
            return merged([notes, near, changed(beside, listings=named)])
        counted = tuple(item for item in beside.listings if item.branch is not BRANCH)
        notes = changed(merged([notes, near, beside]), listings=counted)
        if any(failure.unreachable is Peer.RETRIEVER for failure in notes.failures):
            return notes  # no other candidates could be looked up either
        anchors = anchors_of(query, plan.scene, run.trace.anchors)
        asked = changed(recommenders_of(query, plan, anchors), names=())
        order = nominate_request(query, plan, query.shopper, asked)
        stage = run.trace.stage("nominate", plan.ends.candidates)
        candidates, more = await generate(order, BRANCH, run.peers.ranker, stage)
        notes = merged([notes, more])
    if candidates is None:
        return notes
    if BRANCH not in plan.branches:
        candidates = changed(candidates, product_ids=())
    elif candidates.basis not in (NominationBasis.LONG_TERM, NominationBasis.SESSION):
        notes = changed(notes, popular=candidates)
        candidates = changed(candidates, product_ids=())
    return merged([notes, await look_up_lists(candidates)])


async def _looked_up(
    plan: RequestPlan,
    catalog_id: str,
    retriever: RetrieverPort,
    trace: RequestTrace,
    candidates: RankerCandidates,
) -> BranchResult:
    """Return the ranker's lists with the products that pass the filter; no list if they can't be
    read.

    All lists are read together; if they exceed the limit of one read, the best of each.
    """
    lists = candidates.lists
    named = [candidates.product_ids, *(item.product_ids for item in lists)]
    each = MOST_ASKED // max(len([ids for ids in named if ids]), 1)
    first = dict.fromkeys(chain.from_iterable([ids[:each] for ids in named]))
    own = BRANCH if BRANCH in plan.branches else next(iter(plan.recommenders), BRANCH)
    stage = trace.stage("hydrate", plan.ends.candidates)
    columns, notes = await look_up(
        tuple(first), catalog_id, plan.scope, retriever, stage, branch=own
    )
    if columns is None:
        return notes
    found, steps = list[CandidateList](), list[str]()
    if candidates.product_ids:
        found.append(CandidateList(BRANCH, 1.0, picked(columns, candidates.product_ids)))
        if not candidates.vectors:
            steps.append(f"{BRANCH}: top {plan.generated} by {candidates.basis}")
    for item in lists:
        scores = dict(zip(item.product_ids, item.scores, strict=True))
        left = picked(columns, scores)
        steps.append(f"{item.recommender}: top {plan.generated}")
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


def recommenders_of(
    query: RequestQuery, plan: RequestPlan, anchors: RequestAnchors, *, only: bool = False
) -> Recommenders:
    """Return the recommenders to request in addition to behaviour."""
    names, by_history = plan.recommenders, plan.by_history
    if not names and not anchors and not by_history:
        return NO_RECOMMENDERS
    own = query.filter
    asked = Recommenders(names, anchors, () if own is None else own.category_path, only)
    if not by_history:
        return asked
    weights = plan.scene.parts_with_history
    counted = tuple(each for each in BY_HISTORY if each in RECOMMENDERS and weights.get(each))
    return changed(asked, last_products=MOST_LAST, of_last_products=counted)


def anchors_of(query: RequestQuery, scene: Scene, found: tuple[str, ...]) -> RequestAnchors:
    """Return the anchors of a request. `found`: those that the ranker has found so far."""
    ids, source = query.about or found, scene.anchors_from
    if ids or query.shopper is None or not source.is_history:
        return RequestAnchors(ids)
    return RequestAnchors(source=source)


async def _near_shopper(run: RequestContext, candidates: RankerCandidates) -> BranchResult:
    """Return the products in the index nearest to the shopper.

    No list if the search failed, or the index holds no version of a model that the ranker has.
    """
    vectors = {vector.space_version: vector for vector in candidates.vectors}
    catalog_id, versions = run.query.catalog_id, run.deps.versions
    version = versions.of(catalog_id, BRANCH)
    if version not in vectors:
        version = next(iter(vectors))
    for _ in range(MOST_SEARCHES):
        try:
            found = await search(run, vectors[version], candidates.exclude)
        except ServiceError as error:
            if error.reason == "SPACE_UNAVAILABLE":
                break
            if error.reason != "INDEX_VERSION_MISMATCH":
                return failed(BRANCH, Peer.RETRIEVER, error)
            version = error.metadata.get("held", "")
            if version not in vectors:
                break
            versions.learn(catalog_id, BRANCH, version)
        else:
            # An inner product is no similarity: only the order counts, as for the ranker's own.
            listing = CandidateList(BRANCH, 1.0, found.columns, collapsed=found.collapsed)
            step = f"{BRANCH}: top {run.plan.top_k} by {candidates.basis}, index"
            return BranchResult((listing,), found=(found,), steps=(step,))
    return NOTHING
