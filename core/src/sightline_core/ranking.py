"""What the gateway asks of the ranker, and what it answers."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import NamedTuple, Protocol

from sightline_core.answer import AnswerOrder, AnswerRecord
from sightline_core.candidates import Contributions, FusedCandidates
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import ProductRow, Vector
from sightline_core.reasons import Reason
from sightline_core.score_notes import ScoreNote
from sightline_core.shoppers import Shopper
from sightline_rules.fast_dataclass import fast_dataclass

MOST_PAIRS = 10_000
"""Maximum number of pairs of candidates with the same picture that the ranker reads."""


class Objective(StrEnum):
    """Metric that a scene is meant to increase."""

    UNSPECIFIED = ""
    CLICKS = "clicks"
    CONVERSION = "conversion"
    PURCHASES = "purchases"
    """Conversion, as files from before 0.22 name it."""
    REVENUE = "revenue"
    MARGIN = "margin"

    @property
    def present(self) -> str:
        """Return its present name, which Diversity.Objective has too."""
        return (Objective.CONVERSION if self is Objective.PURCHASES else self).name


@fast_dataclass(frozen=True, slots=True)
class AppliedObjective:
    """Objective that reorders products."""

    goal: Objective = Objective.UNSPECIFIED
    strength: float = 0.0

    def __bool__(self) -> bool:
        return self.goal is not Objective.UNSPECIFIED and self.strength > 0


class AnchorSource(StrEnum):
    """Source of a request's anchors if it names none."""

    REQUEST = "request"
    """None: only the request's own anchors are used."""
    VIEWED = "viewed"
    CART = "cart"
    BOUGHT = "bought"
    PHOTO = "photo"
    """The products that are found in the request's photo."""

    @property
    def is_history(self) -> bool:
        """Return whether the ranker finds the anchors in the shopper's history."""
        return self not in (AnchorSource.REQUEST, AnchorSource.PHOTO)


class ReorderingRules(Hashable, Protocol):
    """Rules of a scene that reorder products after scoring, valid; see scenes/default.toml."""

    @property
    def diversity(self) -> float: ...
    @property
    def calibrated(self) -> float: ...
    @property
    def popularity(self) -> float: ...
    @property
    def window(self) -> int: ...
    @property
    def cap_places(self) -> int: ...
    @property
    def brand_cap(self) -> int: ...
    @property
    def category_caps(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def exploration_places(self) -> tuple[int, ...]: ...
    @property
    def exploration_days(self) -> float: ...


class NominationBasis(StrEnum):
    """Basis on which candidates were generated."""

    NOTHING = "nothing"
    LONG_TERM = "long-term"
    SESSION = "session"
    POPULARITY = "popularity"


@fast_dataclass(frozen=True, slots=True)
class RequestAnchors:
    """Products that a request is about."""

    product_ids: tuple[str, ...] = ()
    """Most important first."""
    source: AnchorSource = AnchorSource.REQUEST
    """Source of the anchors if `product_ids` is empty."""

    def __bool__(self) -> bool:
        return bool(self.product_ids) or self.source.is_history


NO_ANCHORS = RequestAnchors()


@fast_dataclass(frozen=True, slots=True)
class Recommenders:
    """Recommenders by counts that are requested in addition to behaviour."""

    names: tuple[str, ...] = ()
    """Recommenders, each of which returns its own list."""
    anchors: RequestAnchors = NO_ANCHORS
    category_path: tuple[str, ...] = ()
    """Category within which events are counted; empty: all."""
    only: bool = False
    """If true, candidates by the shopper's behaviour are not requested."""
    last_products: int = 0
    """Number of the shopper's last products that are requested if no model knows the shopper."""
    of_last_products: tuple[str, ...] = ()
    """Recommenders that are requested only then."""


NO_RECOMMENDERS = Recommenders()


class NominateRequest(NamedTuple):
    """Request for candidates by the shopper's behaviour. A tuple: equal ones are made once."""

    catalog_id: str
    shopper: Shopper | None
    session_id: str
    top_k: int
    exclude_product_ids: tuple[str, ...] = ()
    accepts_vectors: bool = False
    """If true, the ranker may return the shopper's vectors instead, for a large catalog."""
    recommenders: Recommenders = NO_RECOMMENDERS
    model_version: str = ""
    """See RankRequest."""


@fast_dataclass(frozen=True, slots=True)
class RecommenderList:
    """Candidates of one recommender, best first."""

    recommender: str
    product_ids: tuple[str, ...]
    scores: tuple[float, ...]
    """0 to 1, descending."""


@fast_dataclass(frozen=True, slots=True)
class RankerCandidates:
    """Candidates that the ranker generates by behaviour, best first."""

    product_ids: tuple[str, ...]
    """If there are `vectors`: only products that a search with these can't find."""
    basis: NominationBasis
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    vectors: tuple[Vector, ...] = ()
    """For a large catalog: the shopper in the collaborative space, by the requested model, then by
    the serving one and its predecessor."""
    exclude: tuple[str, ...] = ()
    """Products that a search with `vectors` leaves out."""
    history_token: str = ""
    """Identifies the history that was read, for a ranking of the same request."""
    lists: tuple[RecommenderList, ...] = ()
    anchors: tuple[str, ...] = ()
    """Anchors that were used."""
    last_products: Mapping[str, float] = field(default_factory=dict)
    """The shopper's last products with their weights, newest first, if no model knows the shopper.
    """


@fast_dataclass(frozen=True, slots=True)
class RankRequest:
    """Request to rank candidates."""

    catalog_id: str
    language_code: str
    shopper: Shopper | None
    session_id: str = field(repr=False)
    candidates: FusedCandidates
    weights: Mapping[str, float]
    drop_seen: bool
    seed: int
    diversity: ReorderingRules
    objective: AppliedObjective = AppliedObjective()  # frozen
    time_micros: int = 0
    """When the request was made, microseconds since 1970 (UTC); 0: now."""
    explain: bool = False
    """If true, parts are split by feature."""
    top_k: int = 0
    """Number of first products to return; 0: all."""
    reason_count: int | None = None
    """Number of first products that get reasons; `None`: all."""
    collapse: bool = True
    """If true, near-duplicates collapse."""
    record: AnswerRecord | None = None
    """Record of the answer, to which the ranker adds the order; `None`: nothing is recorded."""
    history_token: str = ""
    """RankerCandidates.history_token of the same request."""
    anchors: RequestAnchors = NO_ANCHORS
    signals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Parts of raw scores in addition to those of branches: by part one value for each candidate, 0
    to 1; NaN if none."""
    page_size: int = 0
    """Number of first products that are shown, to decide which controls have an effect."""
    pins_first: bool = False
    """If true, pinned products come first, to be placed by the service that collapses."""
    model_version: str = ""
    """The ranking model; empty: the promoted one."""


@fast_dataclass(frozen=True, slots=True)
class Ranked:
    """Response of a ranking."""

    order: AnswerOrder
    hidden_count: int
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    work: float | None = None
    seen_count: int = 0
    collapsed_count: int = 0
    """Number of candidates collapsed into another one or into the query's own products."""
    recorded: bool = False
    """True if the answer's record is queued."""
    hidden_pins: tuple[str, ...] = ()
    """Pinned products that the shopper hid."""
    seen_pins: tuple[str, ...] = ()
    acted: tuple[str, ...] = ()
    """Controls that changed the first page."""
    merits: Mapping[str, float] = field(default_factory=dict)
    """By control: its products' share of the relevance of the best candidates, 0 to 1."""
    notes: Sequence[ScoreNote] = ()
    """Data that the objective lacks."""
    propensities: Sequence[float] = ()
    """Probability of each product to be at its rank; empty if it is 1 for all."""
    history_changed: bool = False
    """True if the shopper's history is not that of the request's `history_token`."""


@fast_dataclass(frozen=True, slots=True)
class ReasonRequest:
    """Request for reasons of ranked products, after the answer."""

    catalog_id: str
    language_code: str
    shopper: Shopper | None
    session_id: str = field(repr=False)
    rows: Sequence[ProductRow]
    parts: Sequence[tuple[str, Sequence[float]]]
    """Parts of their scores."""
    weights: Mapping[str, float]
    explored_places: Sequence[int] = ()
    """Indexes, from 0, of products placed by exploration."""
    explain: bool = False
    anchors: RequestAnchors = NO_ANCHORS
    model_version: str = ""
    """Version of the ranking model; empty: the promoted one."""


@fast_dataclass(frozen=True, slots=True)
class Reasoned:
    """Reasons of ranked products, in the order of the request."""

    reasons: Sequence[tuple[Reason, ...]]
    contributions: Mapping[str, Sequence[Contributions]] = field(default_factory=dict)


@fast_dataclass(frozen=True, slots=True)
class AnswerRange:
    """Range of a recorded answer to read, and its reader."""

    answer_id: str
    offset: int = 0
    """Index of its first product, from 0."""
    limit: int = 0
    """Maximum number of products; 0: all."""
    shopper: Shopper | None = None
    """Reader: products hidden by this shopper are excluded."""
    drop_seen: bool = False
    """If true, products that the shopper has seen are excluded too."""
