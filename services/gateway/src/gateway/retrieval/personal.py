"""What fits a shopper: products by behaviour, from the ranker or from the index.

Of a large catalog the index is searched with the shopper's own vector. The ranker gives that
vector by the model that serves and, as the index holds the products of the model before it until
those of the new one are published, by that one too. Which of them the index holds is learned from
its refusals, so that a promotion costs one more search and no request.
"""

from dataclasses import replace

from gateway.model.branch import Branch
from gateway.model.candidates import Listing
from gateway.model.causes import Peer
from gateway.model.peers import Basis, Found, RankerCandidates
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.retrieval.parallel import in_parallel
from gateway.retrieval.ranker import generate, look_up
from gateway.retrieval.similar import search
from gateway.state.run import Run
from servicekit.errors import ServiceError

MOST_SEARCHES = 3
"""Of one request: another generation may become active between two of them."""
BRANCH = Branch.COLLABORATIVE


async def personal(run: Run) -> BranchResult:
    """What fits the shopper: of a large catalog out of the index, if that holds the model's
    products, else as the ranker generates it."""
    shopper, until = run.query.shopper, run.plan.ends.candidates
    candidates, notes = await generate(run, shopper, BRANCH, until, accept_vectors=True)
    if candidates is not None and candidates.vectors:
        near, beside = await in_parallel(
            _near_shopper(run, candidates), _looked_up(run, candidates)
        )
        if near.listings:
            # An empty list would take half of the branch's weight.
            named = tuple(item for item in beside.listings if len(item.ids))
            return merged([notes, near, replace(beside, listings=named)])
        notes = replace(merged([notes, near, beside]), listings=())
        if any(failure.unreachable is Peer.RETRIEVER for failure in notes.failures):
            return notes  # no other candidates could be looked up either
        candidates, more = await generate(run, shopper, BRANCH, until)
        notes = merged([notes, more])
    if candidates is None:
        return notes
    if candidates.basis not in (Basis.LONG_TERM, Basis.SESSION):
        return replace(notes, popular=candidates)
    found = await _looked_up(run, candidates)
    steps = (f"{BRANCH}: top {run.plan.generated} by {candidates.basis}",)
    return merged([notes, replace(found, steps=steps if found.listings else ())])


async def _looked_up(run: Run, candidates: RankerCandidates) -> BranchResult:
    """The ranker's candidates that pass the filter; no list = they could not be read."""
    columns, notes = await look_up(run, candidates, BRANCH, run.plan.ends.candidates)
    return notes if columns is None else BranchResult((Listing(BRANCH, 1.0, columns),))


async def _near_shopper(run: Run, candidates: RankerCandidates) -> BranchResult:
    """What the index holds near the shopper; no list = it could not be searched, or holds the
    products of no model that the ranker has."""
    try:
        found = await _searched(run, candidates)
    except ServiceError as error:
        return failed(BRANCH, Peer.RETRIEVER, error)
    if found is None:
        return NOTHING
    # An inner product is no similarity: as from the ranker, the order alone counts.
    listing = Listing(BRANCH, 1.0, found.columns, collapsed=found.collapsed)
    step = f"{BRANCH}: top {run.plan.top_k} by {candidates.basis}, index"
    return BranchResult((listing,), found=(found,), steps=(step,))


async def _searched(run: Run, candidates: RankerCandidates) -> Found | None:
    """The products best for the shopper; None = the index holds those of no model that the ranker
    has. Raises ServiceError."""
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
