"""What branches find, and what is noted of how they did."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from gateway.model.candidates import CandidateList
from gateway.model.carried import Facet, Subject
from gateway.model.causes import Peer
from gateway.model.failures import StageFailure, failure_of
from gateway.model.peers import NearestProducts, RankerCandidates
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class BranchResult:
    """What a branch, or a part of one, found."""

    listings: tuple[CandidateList, ...] = ()
    found: tuple[NearestProducts, ...] = ()
    """What the retriever answered to its searches."""
    generated: tuple[RankerCandidates, ...] = ()
    """What the ranker answered."""
    steps: tuple[str, ...] = ()
    """What was done, in words."""
    failures: tuple[StageFailure, ...] = ()
    missing: Mapping[int, str] = field(default_factory=dict)
    """Products that the catalog does not hold, by the place of the signal that names each."""
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    """Where the subjects of photos are, by the signals' places."""
    popular: RankerCandidates | None = None
    """Popular products that the ranker gave for a shopper without history: they wait for the case
    that nothing else names candidates."""
    facets: tuple[Facet, ...] = ()
    """What a search counted."""
    new: tuple[CandidateList, ...] = ()
    """New products to give places to: they go beside whatever is named."""
    anchors: tuple[str, ...] = ()
    """The products that the ranker found the request to be about."""


NOTHING = BranchResult()
"""Of a branch that found nothing and has nothing to note."""


def merged(results: Iterable[BranchResult]) -> BranchResult:
    """Merge results into one, in their order."""
    parts = [result for result in results if result is not NOTHING]
    if len(parts) < 2:
        return parts[0] if parts else NOTHING
    return BranchResult(
        listings=tuple(chain.from_iterable([part.listings for part in parts])),
        found=tuple(chain.from_iterable([part.found for part in parts])),
        generated=tuple(chain.from_iterable([part.generated for part in parts])),
        steps=tuple(chain.from_iterable([part.steps for part in parts])),
        failures=tuple(chain.from_iterable([part.failures for part in parts])),
        missing={place: item for part in parts for place, item in part.missing.items()},
        subjects={place: item for part in parts for place, item in part.subjects.items()},
        facets=tuple(chain.from_iterable([part.facets for part in parts])),
        popular=next((part.popular for part in parts if part.popular is not None), None),
        new=tuple(chain.from_iterable([part.new for part in parts])),
        anchors=next((part.anchors for part in parts if part.anchors), ()),
    )


def failed(stage: str, peer: Peer, error: ServiceError) -> BranchResult:
    """Return the result of a failed branch; raise the error when it is the caller's own."""
    return BranchResult(failures=(failure_of(stage, peer, error),))
