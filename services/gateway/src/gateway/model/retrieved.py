"""Results of branches, with notes about their execution."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from gateway.model.causes import Peer
from gateway.model.peer_failures import StageFailure, failure_of
from gateway.model.peers import ReadLabel
from servicekit.errors import ServiceError
from sightline_core.candidates import CandidateList
from sightline_core.opaque_messages import Facet, Subject, Vector
from sightline_core.ranking import RankerCandidates
from sightline_core.search import NearestProducts


@dataclass(frozen=True, slots=True)
class BranchResult:
    """Result of a branch, or of a part of one."""

    listings: tuple[CandidateList, ...] = ()
    found: tuple[NearestProducts, ...] = ()
    """Responses of the retriever."""
    generated: tuple[RankerCandidates, ...] = ()
    """Response of the ranker."""
    steps: tuple[str, ...] = ()
    """Steps executed, in words."""
    failures: tuple[StageFailure, ...] = ()
    missing: Mapping[int, str] = field(default_factory=dict)
    """Products that are not in the catalog, by index of the signal."""
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    """Subjects of photos, by index of the signal."""
    popular: RankerCandidates | None = None
    """Popular products that the ranker returned for a shopper without history: used if nothing else
    supplies candidates."""
    facets: tuple[Facet, ...] = ()
    """Facet counts of a search."""
    new: tuple[CandidateList, ...] = ()
    """New products for exploration places: added to any other candidates."""
    anchors: tuple[str, ...] = ()
    """Anchors that the ranker found."""
    corrected: Mapping[int, str] = field(default_factory=dict)
    """Corrected texts, by index of the signal."""
    labels: Mapping[int, ReadLabel] = field(default_factory=dict)
    """Texts read in photos, by index of the signal."""
    read: Mapping[str, str] = field(default_factory=dict)
    """By product: the words of a label that it has, as the photo shows them."""
    photo: Vector | None = None
    """Vector of a searched photo, if the scene records it."""


NOTHING = BranchResult()
"""Result of a branch that found nothing."""


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
        corrected={place: text for part in parts for place, text in part.corrected.items()},
        labels={place: label for part in parts for place, label in part.labels.items()},
        read={name: text for part in parts for name, text in part.read.items()},
        anchors=next((part.anchors for part in parts if part.anchors), ()),
        photo=next((part.photo for part in parts if part.photo is not None), None),
    )


def failed(stage: str, peer: Peer, error: ServiceError) -> BranchResult:
    """Return the result of a failed branch. Raise the error if the caller caused it."""
    return BranchResult(failures=(failure_of(stage, peer, error),))
