"""What the gateway's snapshot names: popular products, then new ones, that it proves to pass."""

from itertools import islice, takewhile

from gateway.model.branch import Branch
from gateway.model.candidates import Listing
from gateway.model.messages import ProductRow
from gateway.model.peers import Basis, RankerCandidates
from gateway.model.plan import MOST_ASKED
from gateway.model.retrieved import BranchResult
from gateway.state.run import Run


def from_snapshot(run: Run) -> tuple[Listing, ...]:
    """In each list those first whose categories are nearest to the request's own products; empty =
    nothing is proven to pass. Raises FilterInvalid."""
    run.trace.snapshot_listed = True
    copy, scene = run.snapshot, run.plan.scene
    if copy is None:
        return ()
    left_out, listings = frozenset(run.left_out), list[Listing]()
    near = () if run.plan.scope.other_categories else run.query.about
    own = [copy.rows[item] for item in near if item in copy.rows]
    for branch, wanted, ids in (
        (Branch.POPULAR, scene.popular_fallback, copy.popular),
        (Branch.NEW, scene.new_fallback, copy.newest),
    ):
        kept = [each for each in ids if each not in left_out] if wanted else []
        rows = copy.passing(run.plan.scope, kept)
        if own:
            rows = iter(sorted(rows, key=lambda row: -max(_shared(row, each) for each in own)))
        if found := list(islice(rows, run.plan.top_k)):
            after = sum(len(item.ids) for item in listings)
            listings.append(Listing(branch, 1.0, copy.columns_of(found), after=after))
    if listings:
        steps = [f"{item.branch}: {len(item.ids)} of the snapshot" for item in listings]
        run.trace.note(BranchResult(steps=(" → ".join(steps),)))
    return tuple(listings)


def popular_before(run: Run) -> RankerCandidates | None:
    """What was popular when the snapshot was read, for the record to judge; None = not known."""
    copy = run.snapshot
    if copy is None or not copy.popular:
        return None
    return RankerCandidates(copy.popular[:MOST_ASKED], Basis.POPULARITY, model_version="")


def _shared(one: ProductRow, other: ProductRow) -> int:
    """How many levels of their categories are the same."""
    pairs = zip(one.category_path, other.category_path, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
