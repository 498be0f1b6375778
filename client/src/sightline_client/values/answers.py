"""Recommendations and found products as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.controls import ControlOutcome
from sightline_client.values.events import EventType
from sightline_client.values.facets import Facet
from sightline_client.values.filters import Filter
from sightline_client.values.products import Product
from sightline_client.values.signals import LabelLine, ProductDetection


@dataclass(frozen=True, slots=True)
class ScoreFeature:
    """Contribution of one feature to a part of a raw score."""

    name: str
    """kind=value: "brand=Aurora", "product=wine-7" (one of the shopper's), "signals[0]",
    "history[0]" (a group of the shopper's last products), "style", "other"."""
    value: float


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One contribution to a raw score."""

    name: str
    """Source, as the API's ScorePart lists them: "visual" or "taste", for example, or "fusion"
    (fused order of the branches, when no ranker answered)."""
    value: float
    """Value in the unit of the raw score, which is the sum of its parts."""
    features: tuple[ScoreFeature, ...] = ()
    """Features that the part consists of, largest first; only if requested."""


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
    """Products above it are not shown: near-duplicates are collapsed into better ones."""
    OBJECTIVE = "OBJECTIVE"
    """Products with a higher expected value were moved above others."""
    CALIBRATION = "CALIBRATION"
    """Categories were brought closer to their shares in the shopper's history."""


class ScoreNoteCause(StrEnum):
    """Cause of a note about the scores of an answer."""

    UNKNOWN = "UNKNOWN"
    NUMBER_MISSING = "NUMBER_MISSING"
    COST_ABOVE_PRICE = "COST_ABOVE_PRICE"
    OTHER_CURRENCY = "OTHER_CURRENCY"
    RATING_WITHOUT_COUNT = "RATING_WITHOUT_COUNT"
    CHANCE_BY_CLICKS = "CHANCE_BY_CLICKS"
    """Too few purchases: the probability of a purchase follows that of a click."""
    CHANCE_BY_FORMULA = "CHANCE_BY_FORMULA"
    """Too few events: a formula replaces probabilities."""
    NOT_APPLIED = "NOT_APPLIED"
    """The ranker did not answer."""


@dataclass(frozen=True, slots=True)
class ScoreNote:
    """Data that a part of the scores, or the objective, lacks. Does not lower the quality."""

    part: str
    """Name of the part, or "objective"."""
    cause: ScoreNoteCause
    product_count: int
    """Number of candidates that it concerns; 0 if it concerns the answer."""


@dataclass(frozen=True, slots=True)
class Move:
    """A step between a product's place by raw score and its rank."""

    cause: MoveCause
    places: int
    """Number of places: positive is up, negative is down."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Reason why a product is in the answer."""

    code: str
    """E.g. "LOOKS_LIKE_QUERY", "SIMILAR_TO_VIEWED", "POPULAR"; show ``text`` for unknown ones."""
    text: str
    """A sentence for the shopper."""
    parameters: Mapping[str, str]
    """What the code refers to, e.g. {"product_id": "wine-7"}."""


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
    """Products as the gateway read them earlier, with their prices and availability of that time.
    """
    FALLBACK = "FALLBACK"
    """Popular or new products, because the search failed."""
    REDUCED = "REDUCED"
    """A branch or the ranker failed."""
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class Degradation:
    """Effect of a lost dependency."""

    stage: str
    """The stage or branch that was lost, e.g. "embed", "visual", "rank"."""
    cause: Cause
    substitute: str
    """What the answer uses instead, in words."""
    as_of: datetime | None = None
    """When the substitute was read (UTC); `None` if this request read it."""


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Timing of one stage."""

    stage: str
    """"embed", "retrieve", "nominate", "hydrate", "rank", …"""
    start: timedelta
    """Time from the start of the request to the start of the stage. Shows which stages ran in
    parallel."""
    total: timedelta
    """Time from the start of the stage to its end."""
    network: timedelta | None
    """Part of `total` on the wire and in the peer's queue; `None` if unknown."""
    work: timedelta | None
    """Part of `total` spent on work in the peer; `None` if unknown."""


@dataclass(frozen=True, slots=True)
class SpaceVersion:
    """A space of vectors and the index generation that served it."""

    space: str
    """E.g. "visual"."""
    version: str
    generation: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions that produced an answer."""

    spaces: tuple[SpaceVersion, ...]
    model_version: str
    """The ranking model; "" if no model ranked."""
    scene: str
    scene_version: str
    plan: str
    """What was planned and done, in one line for people."""
    service_version: str
    objective: str = ""
    """Objective of the scene: clicks, conversion, revenue or margin; "" if its file names none."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the searched index is behind the catalog."""

    index_token: str
    """Token of the newest write that the index holds completely."""
    lag: timedelta
    """Age of the oldest write that the index does not hold yet; 0 if it holds all."""
    time: datetime | None
    """When the newest completely indexed product was written (UTC); `None` if none is indexed yet.
    """
    pending: int
    """Number of photos that wait for their embedding."""


@dataclass(frozen=True, slots=True)
class RecommendedProduct:
    """A product in an answer."""

    product: Product
    rank: int
    """Rank in the whole answer, from 1."""
    raw_score: float
    """Sum of ``parts``. It has no fixed range and is comparable within one answer only."""
    parts: tuple[ScorePart, ...]
    reasons: tuple[Reason, ...]
    """Strongest first."""
    matched_image_id: str
    """Photo that matched best; "" if the product was not found by a photo."""
    branches: tuple[str, ...]
    """Branches that found the product, e.g. "visual", "collaborative", "popular", "new"."""
    collapsed_product_ids: tuple[str, ...] = ()
    """Near-duplicates collapsed into it: variants, and products with the same picture."""
    score: float | None = None
    """Probability, 0 to 1, that a shopper who is shown the product does ``score_event`` with it;
    `None` until there are enough impressions to learn it."""
    score_event: EventType | None = None
    """`None` if there is no score, or this release does not know the event."""
    score_rank: int = 0
    """Rank by ``raw_score`` alone, from 1; 0 if unknown."""
    moves: tuple[Move, ...] = ()
    """Why ``rank`` differs from ``score_rank``: their places sum to ``score_rank`` − ``rank``."""
    expected_value: float | None = None
    """Expected value, by the scene's objective, each time that its place is looked at;
    only if requested. Expected margins reveal costs."""


class MatchOutcome(StrEnum):
    """Outcome of the best match."""

    UNKNOWN = "UNKNOWN"
    GOOD = "GOOD"
    POOR = "POOR"
    NOTHING_FOUND = "NOTHING_FOUND"
    NO_THRESHOLD = "NO_THRESHOLD"
    """There is no threshold."""
    INCOMPLETE = "INCOMPLETE"
    """A branch failed that might have found a match."""


class MatchBasis(StrEnum):
    """Source of the threshold of a match."""

    UNKNOWN = "UNKNOWN"
    REQUEST = "REQUEST"
    """Cosine set by the request."""
    SCENE = "SCENE"
    """Cosine set by the scene."""
    CATALOG = "CATALOG"
    """Cosine measured on the catalog: a share of good matches, or of its own photos, have a lower
    one."""
    CHANCE = "CHANCE"
    """Calibrated probability set by the scene."""
    WORDS = "WORDS"
    """Match of words set by the scene."""


@dataclass(frozen=True, slots=True)
class Match:
    """The best match, and the threshold that it was compared with."""

    outcome: MatchOutcome
    basis: MatchBasis
    product_id: str
    """"" if none was found."""
    value: float | None
    """Cosine (−1 to 1), probability or match of words (0 to 1)."""
    threshold: float | None
    """Threshold in the same unit; `None` if there is none."""
    branch: str
    """Branch that found the product; "" if ``value`` is a probability."""
    space: SpaceVersion | None
    """Space of the cosine."""
    event: EventType | None
    """Event of the probability; `None` if ``value`` is no probability."""
    text: str
    """The result in a sentence."""

    @property
    def poor(self) -> bool:
        """Whether nothing in the catalog is a good match."""
        return self.outcome in (MatchOutcome.POOR, MatchOutcome.NOTHING_FOUND)


@dataclass(frozen=True, slots=True)
class CorrectedQuery:
    """A text of the request that was corrected, because no product has a word of it."""

    signal: int
    """Index of the signal in the request."""
    original_text: str
    text: str
    """The text that was searched."""


@dataclass(frozen=True, slots=True)
class EmptyReason:
    """Why an answer has no results."""

    text: str
    """A sentence, in English."""
    condition: str
    """The condition of the filter that leaves no product, as text; "" if the reason is another."""
    near_category_paths: tuple[str, ...]
    """Paths of categories near to those that the condition names, as filters write them."""


@dataclass(frozen=True, slots=True)
class Recommendations:
    """An answer, best product first."""

    results: tuple[RecommendedProduct, ...]
    no_good_match: bool
    """True if no product is near enough to the query. The results are the nearest products."""
    degradations: tuple[Degradation, ...]
    """Degradations; empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    """`None` if no index was searched."""
    missing_product_ids: tuple[str, ...]
    """Products of the query that are not in the catalog."""
    hidden_count: int
    """Number of candidates dropped because the shopper hid them."""
    attribution_token: str
    """Send it with the events that this answer leads to."""
    next_page_token: str
    """Token of the next page; "" on the last page."""
    request_id: str
    """Id of this request in logs."""
    match: Match | None = None
    """Basis of ``no_good_match``; `None` if the request has no signals, or the suite is older."""
    quality: AnswerQuality = AnswerQuality.UNKNOWN
    """Quality of this page; ``degradations`` lists what is missing."""
    experiment_arms: tuple[str, ...] = ()
    """Experiment arms of the answer, each as "EXPERIMENT/ARM"."""
    control_outcomes: tuple[ControlOutcome, ...] = ()
    """Effects of the controls of the request and of its scene, on the first page."""
    request_cost_ms: float = 0.0
    """Processor time that the suite spent on the answer, in milliseconds, without engines."""
    corrected_queries: tuple[CorrectedQuery, ...] = ()
    """Corrected texts, on the first page."""
    labels: Mapping[int, tuple[LabelLine, ...]] = field(default_factory=dict)
    """Texts read in photos, by index of the signal, where the scene has the branch ``labels``; on
    the first page. Without lines: the photo was read and has no text."""
    unread_labels: tuple[int, ...] = ()
    """Signals whose labels were left out: too costly, too late or not readable now."""
    unsure_label_lines: Mapping[int, int] = field(default_factory=dict)
    """Numbers of lines that were found in photos and not read with confidence, by index of the
    signal: 1 to 64."""
    score_notes: tuple[ScoreNote, ...] = ()
    """Notes about data that the scores lack, on the first page."""
    detections: tuple[ProductDetection, ...] = ()
    """Objects found in the photo that gives the anchors, where the scene takes them from it; on
    the first page."""
    empty_reason: EmptyReason | None = None
    """Why the first page has no results; `None` if it has some, or if it is unknown."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of all products that pass, in order."""

    results: tuple[RecommendedProduct, ...]
    product_count: int
    """Number of products that pass; variants of one parent count once."""
    facets: tuple[Facet, ...]
    """Counts of the requested facets, on the first page."""
    next_page_token: str
    """Token of the next page; "" on the last page."""
    etag: str
    """Tag of the page, which changes with every write of the catalog; "" for a shopper."""
    not_modified: bool
    """True if the page is as in ``if_none_match``: it is not sent again."""
    degradations: tuple[Degradation, ...]
    """Degradations; empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    quality: AnswerQuality
    """Quality of this page; ``degradations`` lists what is missing."""
    hidden_count: int
    """Number of products of the page that the shopper hid."""
    attribution_token: str
    """Send it with the events that this page leads to; "" without a shopper."""
    control_outcomes: tuple[ControlOutcome, ...]
    """Effects of the controls, on the first page."""
    request_id: str
    """Id of this request in logs."""
    versions: Versions | None = None
    score_notes: tuple[ScoreNote, ...] = ()
    """Notes about data that the scores of the page lack."""
    empty_reason: EmptyReason | None = None
    """Why the first page has no results; `None` if it has some, or if it is unknown."""


@dataclass(frozen=True, slots=True)
class RecommendedValue:
    """A value of a field, with its best products for the shopper."""

    rank: int
    """Rank, from 1."""
    text: str
    """The value as display text."""
    filter: Filter
    """Filter that the products with this value pass."""
    filter_text: str
    """Text of the same filter, in the syntax of the command line."""
    score: float
    """More than 0, at most 1: how near to the top of the ranking its five best products are."""
    reasons: tuple[Reason, ...]
    """Reasons of its products, each once."""
    products: tuple[RecommendedProduct, ...]
    """Its best products; their ``rank`` is that in the whole ranking."""
    candidate_count: int
    """Number of ranked products that have the value."""


@dataclass(frozen=True, slots=True)
class RecommendedValues:
    """Values of a field, best first."""

    values: tuple[RecommendedValue, ...]
    more_count: int
    """Number of further values that the ranked products have."""
    degradations: tuple[Degradation, ...]
    """Degradations; empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    """`None` if no index was searched."""
    missing_product_ids: tuple[str, ...]
    """Products of the query that are not in the catalog."""
    hidden_count: int
    """Number of candidates dropped because the shopper hid them."""
    attribution_token: str
    """Send it with the events that this answer leads to."""
    request_id: str
    """Id of this request in logs."""
    quality: AnswerQuality
    """Quality of the answer; ``degradations`` lists what is missing."""
    control_outcomes: tuple[ControlOutcome, ...]
    """Effects of the controls on the ranked products."""
    experiment_arms: tuple[str, ...]
    """Experiment arms of the answer, each as "EXPERIMENT/ARM"."""
    request_cost_ms: float
    """Processor time that the suite spent on the answer, in milliseconds, without engines."""
    match: Match | None = None
    """The best match; `None` if the request has no signals."""
    score_notes: tuple[ScoreNote, ...] = ()
    """Notes about data that the scores lack."""
    empty_reason: EmptyReason | None = None
    """Why there is no value; `None` if there are some, or if it is unknown."""


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A product found by a search, without ranking."""

    product: Product
    rank: int
    """Rank, from 1."""
    similarity: float
    """Cosine similarity to the best signal, −1 to 1."""
    matched_image_id: str
    collapsed_product_ids: tuple[str, ...] = ()
    """Near-duplicates collapsed into it: variants, and products with the same picture."""


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The nearest products, nearest first."""

    results: tuple[FoundProduct, ...]
    degradations: tuple[Degradation, ...]
    stage_timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    request_id: str
    facets: tuple[Facet, ...] = ()
    """Counts of the requested facets; () if none were requested or they could not be read
    (``degradations``)."""
    match: Match | None = None
    """Whether the nearest product is a good match, by the thresholds of scene "default"."""
    corrected_queries: tuple[CorrectedQuery, ...] = ()
    """Corrected texts."""
    labels: Mapping[int, tuple[LabelLine, ...]] = field(default_factory=dict)
    """Texts read in photos, by index of the signal, where ``read_labels`` asked for them. Without
    lines: the photo was read and has no text."""
    unread_labels: tuple[int, ...] = ()
    """Signals whose labels were left out: too costly, too late or not readable now."""
    unsure_label_lines: Mapping[int, int] = field(default_factory=dict)
    """Numbers of lines that were found in photos and not read with confidence, by index of the
    signal: 1 to 64."""
    empty_reason: EmptyReason | None = None
    """Why there are no results; `None` if there are some, or if it is unknown."""


@dataclass(frozen=True, slots=True)
class ShelfAnswer:
    """The answer to a shelf."""

    shelf_id: str
    answer: Recommendations | SearchResults | Listing | None
    """`None` if it failed."""
    error: SightlineError | None
    """Why it failed; the fields in it are relative to the shelf's query."""
    attribution_token: str
    """Send it with the events that this shelf leads to; "" without an answer, and for a search or
    list that could not be recorded."""


@dataclass(frozen=True, slots=True)
class Shelves:
    """Several shelves, in the order of the request."""

    shelves: tuple[ShelfAnswer, ...]
    request_id: str
    """Id of this request in logs."""
    request_cost_ms: float
    """Processor time that the suite spent on all shelves, in milliseconds, without engines."""
