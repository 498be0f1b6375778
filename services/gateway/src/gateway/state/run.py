"""One request while it runs, and what it is answered with."""

from dataclasses import dataclass, field

from gateway.model.plan import Plan
from gateway.model.query import Query
from gateway.ports import Answers, Embedder, Ranker, Retriever, Scenes
from gateway.state.text_spaces import TextTakers
from gateway.state.tokens import Digests
from gateway.state.trace import Trail
from gateway.state.versions import SpaceVersions


@dataclass(frozen=True, slots=True)
class Peers:
    """The services behind the gateway."""

    embedder: Embedder
    retriever: Retriever
    ranker: Ranker


@dataclass(frozen=True, slots=True)
class House:
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
    takers: TextTakers = field(default_factory=TextTakers)


@dataclass(frozen=True, slots=True)
class Run:
    """One request on its way."""

    query: Query
    digests: Digests
    plan: Plan
    house: House
    trail: Trail
    time_micros: int
    """When it was made, microseconds since 1970 (UTC)."""
