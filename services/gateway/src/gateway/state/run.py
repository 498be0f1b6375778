"""One request while it runs, and what it is answered with."""

from dataclasses import dataclass, field

from gateway.model.plan import Plan
from gateway.model.query import Query
from gateway.ports import Answers, Embedder, Ranker, Retriever, Scenes
from gateway.state.text_spaces import TextQuerySpaces
from gateway.state.tokens import Digests
from gateway.state.trace import RequestTrace
from gateway.state.versions import SpaceVersions


@dataclass(frozen=True, slots=True)
class Peers:
    """The services behind the gateway."""

    embedder: Embedder
    retriever: Retriever
    ranker: Ranker


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What every request is answered with."""

    peers: Peers
    scenes: Scenes
    answers: Answers
    catalogs: frozenset[str]
    service_version: str
    default_seconds: float = 2.0
    """Time for a request whose caller gives no deadline."""
    longest_seconds: float = 10.0
    """Most of a caller's deadline that is planned with."""
    reserve_seconds: float = 0.02
    """Kept back to put the answer together."""
    answer_seconds: float = 30 * 86400.0
    """How long records and attribution tokens are good."""
    versions: SpaceVersions = field(default_factory=SpaceVersions)
    text_spaces: TextQuerySpaces = field(default_factory=TextQuerySpaces)


@dataclass(frozen=True, slots=True)
class Run:
    """One request while it runs."""

    query: Query
    digests: Digests
    plan: Plan
    deps: Dependencies
    trace: RequestTrace
    time_micros: int
    """When it was made, microseconds since 1970 (UTC)."""

    @property
    def peers(self) -> Peers:
        """The services behind the gateway."""
        return self.deps.peers
