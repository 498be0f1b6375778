"""How one request is answered."""

from dataclasses import dataclass

from gateway.model.branch import RECOMMENDERS, Branch
from gateway.model.controls import ActiveControl
from gateway.model.query import AnswerScope
from gateway.model.scene import Scene

MOST_ASKED = 1_000
"""What the retriever and the ranker answer at most."""

MOST_RANKED = 2_000
"""What the ranker orders at most, and a record holds."""


@dataclass(frozen=True, slots=True)
class StageEnds:
    """When each stage has to be over, in seconds from the request's start."""

    embed: float
    candidates: float
    fallback: float
    rank: float
    hydrate: float
    """Of the record; after it there is time left to take the snapshot's products."""
    answer: float


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """How one request is answered."""

    scene: Scene
    branches: tuple[Branch, ...]
    """Those that run side by side; fallbacks are not among them."""
    top_k: int
    """Candidates asked of each search."""
    generated: int
    """Candidates asked of the ranker, before the filter."""
    most: int
    """Candidates that are ranked."""
    ahead: int
    """Products of the final order that are asked for at once: the page, and what takes the place of
    those of it that vanished."""
    scope: AnswerScope
    ends: StageEnds
    controls: tuple[ActiveControl, ...] = ()
    """The active ones, the request's own before the scene's."""

    @property
    def recommenders(self) -> tuple[Branch, ...]:
        """Branches that are lists of the ranker's."""
        return tuple(branch for branch in self.branches if branch in RECOMMENDERS)
