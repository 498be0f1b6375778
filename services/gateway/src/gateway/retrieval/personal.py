"""What fits a shopper of a large catalogue: the index is searched with the shopper's own vector.

The ranker gives that vector by the model that serves and, as the index holds the products of the
model before it until those of the new one are published, by that one too. Which of them the index
holds is learnt from its refusals, so that a promotion costs one more search and no request.
"""

from collections.abc import Sequence

from gateway.model import Branch, Found, Nominees, Vector
from gateway.ranking.fuse import Listing
from gateway.recommend.plan import MOST_ASKED
from gateway.state.trace import Run
from servicekit.errors import ServiceError

MOST_SEARCHES = 3
"""Of one request: another generation may become active between two of them."""


async def near_shopper(run: Run, nominees: Nominees) -> Listing | None:
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
