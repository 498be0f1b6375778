"""Results of branches, with notes about their execution."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from itertools import chain
from operator import attrgetter
from typing import Any

from gateway.model.causes import Peer
from gateway.model.peer_failures import StageFailure, failure_of
from gateway.model.peers import ReadLabel
from servicekit.errors import ServiceError
from sightline_core.candidates import CandidateList
from sightline_core.opaque_messages import Facet
from sightline_core.ranking import RankerCandidates
from sightline_core.search import NearestProducts
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
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
    match_cosines: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Cosines of good matches of photos, by index of the signal; see EmbeddedSignal."""


NOTHING = BranchResult()
"""Result of a branch that found nothing."""


def merged(results: Iterable[BranchResult]) -> BranchResult:
    """Merge results into one, in their order."""
    parts = [result for result in results if result is not NOTHING]
    if len(parts) < 2:
        return parts[0] if parts else NOTHING
    lists = [tuple(chain(*column)) for column in zip(*map(_read_lists, parts), strict=True)]
    mappings: list[Mapping[Any, Any]] = [{} for _ in _MAPPINGS]
    firsts: list[Any] = [None, ()]
    for part in parts:
        for at, known in enumerate(_read_mappings(part)):
            if known:
                mappings[at] = {**mappings[at], **known}
        for at, value in enumerate(_read_firsts(part)):
            firsts[at] = firsts[at] or value
    fields = zip((*_LISTS, *_MAPPINGS, *_FIRSTS), (*lists, *mappings, *firsts), strict=True)
    return BranchResult(**dict(fields))


_LISTS = ("listings", "found", "generated", "steps", "failures", "facets", "new")
_MAPPINGS = ("missing", "corrected", "labels", "read", "match_cosines")
_FIRSTS = ("popular", "anchors")
"""Fields of which the first value counts that is not empty."""
_read_lists = attrgetter(*_LISTS)
_read_mappings = attrgetter(*_MAPPINGS)
_read_firsts = attrgetter(*_FIRSTS)


def failed(stage: str, peer: Peer, error: ServiceError) -> BranchResult:
    """Return the result of a failed branch. Raise the error if the caller caused it."""
    return BranchResult(failures=(failure_of(stage, peer, error),))
