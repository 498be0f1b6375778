"""What fits a shopper: products by behavior, from the ranker or from the index.

Of a large catalog the index is searched with the shopper's own vector. The ranker gives that
vector by the model that serves and, as the index holds the products of the model before it until
those of the new one are published, by that one too. Which of them the index holds is learned from
its refusals, so that a promotion costs one more search and no request.
"""

from collections.abc import Sequence

from gateway.model.branch import Branch
from gateway.model.candidates import Listing
from gateway.model.causes import Peer
from gateway.model.columns import Columns
from gateway.model.messages import Vector
from gateway.model.peers import Basis, Found, Nominees
from gateway.model.plan import MOST_ASKED
from gateway.model.query import Shopper
from gateway.model.retrieved import BranchResult
from gateway.retrieval.parallel import in_parallel
from gateway.state.run import Run
from servicekit.errors import ServiceError

MOST_SEARCHES = 3
"""Of one request: another generation may become active between two of them."""


async def personal(run: Run) -> BranchResult:
    """What fits the shopper: of a large catalog out of the index, if that holds the model's
    products, else as the ranker names it."""
    branch, until = Branch.COLLABORATIVE, run.plan.ends.candidates
    nominees = await nominate(run, run.query.shopper, branch, until, accept_vectors=True)
    if nominees is not None and nominees.vectors:
        near, beside = await in_parallel(_near_shopper(run, nominees), _named(run, nominees))
        if near is not None:
            run.trail.named.append(f"{branch}: top {run.plan.top_k} by {nominees.basis}, index")
            # An empty list would take half of the branch's weight.
            if beside is not None and len(beside.columns.product_ids):
                return BranchResult((near, beside))
            return BranchResult((near,))
        if Peer.RETRIEVER in run.trail.gone:
            return BranchResult()  # nominees could not be looked up either
        nominees = await nominate(run, run.query.shopper, branch, until)
    if nominees is None:
        return BranchResult()
    if nominees.basis not in (Basis.LONG_TERM, Basis.SESSION):
        return BranchResult(popular=nominees)
    listing = await _named(run, nominees)
    if listing is None:
        return BranchResult()
    run.trail.named.append(f"{branch}: top {run.plan.nominees} by {nominees.basis}")
    return BranchResult((listing,))


async def _near_shopper(run: Run, nominees: Nominees) -> Listing | None:
    """What the index holds near the shopper; None = it could not be searched, or holds the products
    of no model that the ranker has."""
    try:
        return await _searched(run, nominees)
    except ServiceError as error:
        run.trail.fail(Branch.COLLABORATIVE, Peer.RETRIEVER, error)
        return None


async def _named(run: Run, nominees: Nominees) -> Listing | None:
    """The shopper's nominees that pass the filter; None = they could not be read."""
    branch = Branch.COLLABORATIVE
    columns = await hydrate(run, nominees, branch, run.plan.ends.candidates)
    return None if columns is None else Listing(branch, 1.0, columns)


async def nominate(
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


async def hydrate(
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


async def _searched(run: Run, nominees: Nominees) -> Listing | None:
    """The products best for the shopper; None = the index holds those of no model that the ranker
    has. Raises ServiceError."""
    vectors = {vector.space_version: vector for vector in nominees.vectors}
    catalog_id, versions = run.query.catalog_id, run.house.versions
    version = versions.of(catalog_id, Branch.COLLABORATIVE)
    if version not in vectors:
        version = next(iter(vectors))
    for _ in range(MOST_SEARCHES):
        try:
            found = await _search(run, vectors[version], nominees.exclude)
        except ServiceError as error:
            if error.reason == "SPACE_UNAVAILABLE":
                return None
            if error.reason != "INDEX_VERSION_MISMATCH":
                raise
            version = error.metadata.get("held", "")
            if version not in vectors:
                return None
            versions.learn(catalog_id, Branch.COLLABORATIVE, version)
        else:
            run.trail.searched(found)
            # An inner product is no similarity: as from the ranker, the order alone counts.
            return Listing(Branch.COLLABORATIVE, 1.0, found.columns, collapsed=found.collapsed)
    return None


async def _search(run: Run, vector: Vector, exclude: Sequence[str]) -> Found:
    async with run.trail.stage("retrieve", run.plan.ends.candidates) as note:
        found = await run.house.peers.retriever.search(
            run.query.catalog_id,
            vector,
            run.plan.scope,
            top_k=run.plan.top_k,
            exclude=exclude[:MOST_ASKED],
            min_index_token="",
        )
        note.work = found.work
    return found
