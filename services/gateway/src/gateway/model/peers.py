"""What peers are asked, and what they answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.answer import AnswerRecord, Order
from gateway.model.candidates import Candidates, Contributions
from gateway.model.columns import Columns
from gateway.model.diversity import Diversity
from gateway.model.messages import (
    Degradation,
    Freshness,
    ProductRow,
    Reason,
    SpaceVersion,
    Subject,
    Vector,
)
from gateway.model.query import Shopper
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Blend:
    """Vectors and products of one space, put together into one query by the retriever."""

    space: str
    parts: tuple[tuple[float, Vector | str], ...]
    """Each with its weight, below 0 = away from it; a text is a product's id."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What became of several signals, in their order."""

    items: tuple[Vector | ServiceError, ...]
    work: float | None
    """Seconds of work in the peer; None = not said."""
    subjects: tuple[Subject | None, ...] = ()
    """Where the subjects are of photos that were to be looked for; empty = of none."""


@dataclass(frozen=True, slots=True)
class Found:
    """The products nearest to a vector or product, nearest first."""

    columns: Columns
    similarities: Sequence[float]
    """Cosine, −1 to 1, one a product."""
    image_ids: Sequence[str]
    """The photo that matched best, one a product."""
    space: SpaceVersion | None
    freshness: Freshness | None
    plan: str
    work: float | None
    collapsed: Sequence[Sequence[str]] = ()
    """Near-duplicates of each, among the products found; empty = none has any."""
    own: Columns | None = None
    """The query's product, whose near-duplicates were left out; None = it has none."""
    degradations: tuple[Degradation, ...] = ()
    """What the retriever lost on the way."""


class Basis(StrEnum):
    """What nominees were chosen by."""

    NOTHING = "nothing"
    LONG_TERM = "long-term"
    SESSION = "session"
    POPULARITY = "popularity"


@dataclass(frozen=True, slots=True)
class RankerCandidates:
    """Products by behaviour, best first."""

    product_ids: tuple[str, ...]
    """With `vectors`: only those that a search with them can't see."""
    basis: Basis
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    vectors: tuple[Vector, ...] = ()
    """Of a large catalog: the shopper in the collaborative space, by the serving model, then by
    the one before it."""
    exclude: tuple[str, ...] = ()
    """With `vectors`: products to leave out."""
    history_token: str = ""
    """Marks the history that was read, for a ranking of the same request."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Products as the record has them now, and titles of others."""

    rows: tuple[ProductRow, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    """By product id; what can't be had is missing."""


@dataclass(frozen=True, slots=True)
class RankOrder:
    """What the ranker is asked."""

    catalog_id: str
    language_code: str
    shopper: Shopper | None
    session_id: str = field(repr=False)
    candidates: Candidates
    weights: Mapping[str, float]
    drop_seen: bool
    seed: int
    diversity: Diversity = field(default_factory=Diversity)
    time_micros: int = 0
    """When the request was made, microseconds since 1970 (UTC); 0 = now."""
    explain: bool = False
    """Whether parts are split by feature."""
    top_k: int = 0
    """How many of the first products are wanted; 0 = all."""
    reason_count: int | None = None
    """Of how many of the first products reasons are wanted; None = of all."""
    collapse: bool = True
    """Whether near-duplicates collapse."""
    record: "AnswerRecord | None" = None
    """What the ranker is to keep of the answer, without its order; None = nothing."""
    history_token: str = ""
    """RankerCandidates.history_token of the same request."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """What the ranker answers."""

    order: Order
    hidden_count: int
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    work: float | None = None
    seen_count: int = 0
    collapsed_count: int = 0
    """Candidates that stand behind another one, or behind the query's own products."""
    recorded: bool = False
    """Whether the answer's record will be kept."""


@dataclass(frozen=True, slots=True)
class ReasonOrder:
    """Of which ranked products reasons are asked, after the answer."""

    catalog_id: str
    language_code: str
    shopper: Shopper | None
    session_id: str = field(repr=False)
    rows: Sequence[ProductRow]
    parts: Sequence[tuple[str, Sequence[float]]]
    """The parts of their scores."""
    weights: Mapping[str, float]
    explored: Sequence[int] = ()
    """Which of them, from 0, were given a place to be seen at."""
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Reasoned:
    """Reasons of ranked products, in the order asked."""

    reasons: Sequence[tuple[Reason, ...]]
    contributions: Mapping[str, Sequence[Contributions]] = field(default_factory=dict)
