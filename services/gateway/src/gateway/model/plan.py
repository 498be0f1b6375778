"""Plan of a request."""

from collections.abc import Mapping
from functools import lru_cache

from gateway.model.controls import ActiveControl
from gateway.model.query import AnswerScope, Signal
from gateway.model.scene import Scene
from sightline_core.branch import RECOMMENDERS, SIMILARITY_BRANCHES, Branch
from sightline_rules.fast_dataclass import fast_dataclass

MOST_ASKED = 1_000
"""Maximum number of products in a response of the retriever and the ranker."""

MOST_RANKED = 2_000
"""Maximum number of products that the ranker orders and a record holds."""


@fast_dataclass(frozen=True, slots=True)
class StageEnds:
    """Times at which stages must end, in seconds from the request's start."""

    embed: float
    candidates: float
    fallback: float
    rank: float
    hydrate: float
    """End of reading the record; afterwards there is time to use the snapshot."""
    answer: float


NO_TIME = StageEnds(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@fast_dataclass(frozen=True, slots=True)
class RequestPlan:
    """Plan of one request."""

    scene: Scene
    branches: tuple[Branch, ...]
    """Branches that run in parallel; fallbacks are not among them."""
    top_k: int
    """Number of candidates requested from each search."""
    generated: int
    """Number of candidates requested from the ranker, before the filter."""
    most: int
    """Maximum number of candidates that are ranked."""
    ahead: int
    """Number of products of the final order read at once: the page, and replacements for vanished
    products."""
    scope: AnswerScope
    ends: StageEnds
    by_history: bool = False
    """True if the request names nothing but a shopper, whose last products find others if no model
    knows the shopper."""
    labelled: tuple[Signal, ...] = ()
    """Photos whose labels are read: of those of the request, as many as it can pay for."""
    controls: tuple[ActiveControl, ...] = ()
    """Active controls, the request's before the scene's."""

    @property
    def weights(self) -> Mapping[Branch, float]:
        """Weight of each branch in the fusion."""
        return self.scene.branches_by_history if self.by_history else self.scene.branches

    @property
    def recommenders(self) -> tuple[Branch, ...]:
        """Branches that are recommenders of the ranker."""
        return _among(self.branches, RECOMMENDERS)

    @property
    def signalled(self) -> tuple[Branch, ...]:
        """Branches that follow signals."""
        return _among(self.branches, SIMILARITY_BRANCHES)


@lru_cache(1_024)
def _among(branches: tuple[Branch, ...], some: tuple[Branch, ...]) -> tuple[Branch, ...]:
    return tuple([branch for branch in branches if branch in some])
