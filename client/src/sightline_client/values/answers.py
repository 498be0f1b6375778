"""Recommendations and found products as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.values.controls import ControlOutcome
from sightline_client.values.events import EventType
from sightline_client.values.facets import Facet
from sightline_client.values.products import Product
from sightline_client.values.signals import Subject


@dataclass(frozen=True, slots=True)
class ScoreFeature:
    """Contribution of one feature to a part of a raw score."""

    name: str
    """kind=value: "brand=Aurora", "product=wine-7" (one of the shopper's), "signals[0]", "style",
    "bias" (of the product, for every shopper), "other"."""
    value: float


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One contribution to a raw score."""

    name: str
    """Where it comes from: "visual", "text", "text_visual", "keywords", "collaborative", "taste",
    "session", "item_item", "bought_together", "trend", "popularity", or "fusion" (the branches'
    fused order, when no ranker answered)."""
    value: float
    """In the raw score's own unit: the parts add up to it."""
    features: tuple[ScoreFeature, ...] = ()
    """What it is made of, largest first; only where asked for."""


class MoveCause(StrEnum):
    """Cause of a difference between a product's rank and its place by raw score."""

    UNKNOWN = "UNKNOWN"
    DIVERSITY = "DIVERSITY"
    BRAND_CAP = "BRAND_CAP"
    CATEGORY_CAP = "CATEGORY_CAP"
    POPULARITY = "POPULARITY"
    EXPLORATION = "EXPLORATION"
    CONTROL = "CONTROL"
    COLLAPSE = "COLLAPSE"
    """Products above it are not shown: near-duplicates stand behind better ones."""


@dataclass(frozen=True, slots=True)
class Move:
    """A step between a product's place by raw score and its rank."""

    cause: MoveCause
    places: int
    """Up (> 0) or down."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Reason why a product is in the answer."""

    code: str
    """E.g. "LOOKS_LIKE_QUERY", "SIMILAR_TO_VIEWED", "POPULAR"; show ``text`` for unknown ones."""
    text: str
    """A sentence for the shopper."""
    parameters: Mapping[str, str]
    """What the code speaks of, e.g. {"product_id": "wine-7"}."""


class Cause(StrEnum):
    """Cause of a loss of quality."""

    UNKNOWN = "UNKNOWN"
    EMBEDDER_UNAVAILABLE = "EMBEDDER_UNAVAILABLE"
    INDEX_UNAVAILABLE = "INDEX_UNAVAILABLE"
    RETRIEVER_UNAVAILABLE = "RETRIEVER_UNAVAILABLE"
    RANKER_UNAVAILABLE = "RANKER_UNAVAILABLE"
    PROFILE_UNAVAILABLE = "PROFILE_UNAVAILABLE"
    STAGE_DEADLINE = "STAGE_DEADLINE"
    SPACE_UNAVAILABLE = "SPACE_UNAVAILABLE"
    MODEL_NOT_READY = "MODEL_NOT_READY"
    ANSWER_RECORD_DROPPED = "ANSWER_RECORD_DROPPED"


class AnswerQuality(StrEnum):
    """Quality of an answer, compared with one for which nothing was lost."""

    UNKNOWN = "UNKNOWN"
    SNAPSHOT = "SNAPSHOT"
    """Products as the gateway read them before: prices and availability are of then."""
    FALLBACK = "FALLBACK"
    """Popular or new products in place of what was asked for."""
    REDUCED = "REDUCED"
    """A branch or the ranker is missing."""
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class Degradation:
    """Effect of a lost dependency."""

    stage: str
    """The stage or branch that was lost, e.g. "embed", "visual", "rank"."""
    cause: Cause
    substitute: str
    """What the answer rests on instead, in words."""
    as_of: datetime | None = None
    """When that was read (UTC); None = by this request."""


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Timing of one stage."""

    stage: str
    """"embed", "retrieve", "nominate", "hydrate", "rank", …"""
    start: timedelta
    """From the request's start to the stage's start: shows which stages ran side by side."""
    total: timedelta
    """From the stage's start to its end."""
    network: timedelta | None
    """Of which on the wire and waiting in the peer; None = not known."""
    work: timedelta | None
    """Of which work in the peer; None = not known."""


@dataclass(frozen=True, slots=True)
class SpaceVersion:
    """A space of vectors and the index generation that served it."""

    space: str
    """E.g. "visual"."""
    version: str
    generation: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions that made an answer."""

    spaces: tuple[SpaceVersion, ...]
    model_version: str
    """The ranking model; "" = none."""
    scene: str
    scene_version: str
    plan: str
    """What was planned and done, in one line for people."""
    service_version: str
    objective: str = ""
    """Objective of the scene: clicks, purchases or revenue; empty: its file names none."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Freshness of the searched index against the catalog."""

    index_token: str
    """The newest write that it holds in full."""
    lag: timedelta
    """How old the oldest write is that it does not hold yet; 0 = it holds all."""
    time: datetime | None
    """When the newest wholly indexed record was written (UTC); None = none yet."""
    pending: int
    """Photos pending embedding."""


@dataclass(frozen=True, slots=True)
class RecommendedProduct:
    """A product in an answer."""

    product: Product
    rank: int
    """Place in the whole answer, from 1."""
    raw_score: float
    """The sum of ``parts``; of no fixed range, comparable within one answer only."""
    parts: tuple[ScorePart, ...]
    reasons: tuple[Reason, ...]
    """Strongest first."""
    matched_image_id: str
    """The photo that matched best; "" = not found by a photo."""
    branches: tuple[str, ...]
    """What named it: "visual", "collaborative", "popular", "new"."""
    collapsed_product_ids: tuple[str, ...] = ()
    """Near-duplicates that it stands for: variants, and products with the same picture."""
    score: float | None = None
    """The chance, 0 to 1, that a shopper to whom it is shown does ``score_event`` with it; None
    until there are enough impressions to learn it from."""
    score_event: EventType | None = None
    """None = there is no score, or this release does not know the event."""
    score_rank: int = 0
    """Place by ``raw_score`` alone, from 1; 0 = not known."""
    moves: tuple[Move, ...] = ()
    """Why it stands elsewhere: their places sum to ``score_rank`` − ``rank``."""


class MatchOutcome(StrEnum):
    """Outcome of the best match."""

    UNKNOWN = "UNKNOWN"
    GOOD = "GOOD"
    POOR = "POOR"
    NOTHING_FOUND = "NOTHING_FOUND"
    NO_THRESHOLD = "NO_THRESHOLD"
    """There is nothing to hold it against."""
    INCOMPLETE = "INCOMPLETE"
    """A branch failed that might have found a better one."""


class MatchBasis(StrEnum):
    """Basis that a match is compared with."""

    UNKNOWN = "UNKNOWN"
    REQUEST = "REQUEST"
    """The cosine that the request asks for."""
    SCENE = "SCENE"
    """The cosine that the scene asks for."""
    CATALOG = "CATALOG"
    """The cosine that a share of the catalog's own photos do not have to another product."""
    CHANCE = "CHANCE"
    """The calibrated chance that the scene asks for."""
    WORDS = "WORDS"
    """How well the text's words have to be found."""


@dataclass(frozen=True, slots=True)
class Match:
    """Similarity of the nearest product, and what it was compared with."""

    outcome: MatchOutcome
    basis: MatchBasis
    product_id: str
    """"" = none was found."""
    value: float | None
    """Cosine (−1 to 1), chance or how well words match (0 to 1)."""
    threshold: float | None
    """In the same unit; None = there is none."""
    branch: str
    """What found it; "" = it is judged by its chance."""
    space: SpaceVersion | None
    """Of the cosine."""
    event: EventType | None
    """Of the chance; None = it is none."""
    text: str
    """All this in a sentence."""

    @property
    def poor(self) -> bool:
        """Whether nothing in the catalog is a good match."""
        return self.outcome in (MatchOutcome.POOR, MatchOutcome.NOTHING_FOUND)


@dataclass(frozen=True, slots=True)
class Recommendations:
    """An answer, best product first."""

    results: tuple[RecommendedProduct, ...]
    no_good_match: bool
    """Nothing is near the query: the results are the nearest there are."""
    degradations: tuple[Degradation, ...]
    """What is degraded; empty = nothing."""
    stage_timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    """None when no index was searched."""
    missing_product_ids: tuple[str, ...]
    """Products in the query that the catalog does not hold."""
    hidden_count: int
    """Candidates left out because the shopper hid them."""
    attribution_token: str
    """Send it back with the events that this answer led to."""
    next_page_token: str
    """For the next page; "" = this is the last."""
    request_id: str
    """Logs speak of this request under it."""
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    """Where the subjects of photos are, by the photo's place among the signals; on the first page
    of a request with ``find_subject``."""
    match: Match | None = None
    """What ``no_good_match`` rests on; None = the request has no signals, or the suite is older."""
    quality: AnswerQuality = AnswerQuality.UNKNOWN
    """How good this page is; ``degradations`` name what it lacks."""
    experiment_arms: tuple[str, ...] = ()
    """Arms of experiments that answered, "EXPERIMENT/ARM" each."""
    control_outcomes: tuple[ControlOutcome, ...] = ()
    """What became of the controls of the request and of its scene, on the first page."""
    request_cost_ms: float = 0.0
    """Processor time that the suite spent on the answer, in milliseconds; engines do not count."""


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A candidate, not ranked for anyone."""

    product: Product
    rank: int
    """Place, from 1."""
    similarity: float
    """Cosine similarity to the best signal, −1 to 1."""
    matched_image_id: str
    collapsed_product_ids: tuple[str, ...] = ()
    """Near-duplicates that it stands for: variants, and products with the same picture."""


@dataclass(frozen=True, slots=True)
class SearchResults:
    """Candidates, best first."""

    results: tuple[FoundProduct, ...]
    degradations: tuple[Degradation, ...]
    stage_timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    request_id: str
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    """Where the subjects of photos are, by the photo's place among the signals."""
    facets: tuple[Facet, ...] = ()
    """What was counted; () = nothing was asked for, or it could not be had (``degradations``)."""
    match: Match | None = None
    """Whether the nearest product is a good match, by the scene "default"."""
