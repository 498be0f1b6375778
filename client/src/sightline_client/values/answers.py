"""Recommendations and found products as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.catalog import Product
from sightline_client.values.controls import ControlOutcome
from sightline_client.values.events import EventType
from sightline_client.values.facets import Facet
from sightline_client.values.filters import Filter
from sightline_client.values.methods import MatchMethods
from sightline_client.values.signals import LabelLine, ProductDetection


@dataclass(frozen=True, slots=True)
class ScoreFeature:
    """Contribution of one feature to a part of a raw score."""

    name: str
    """Name of the feature, as kind=value. For "taste": a feature of the product ("category=Wine >
    Red", "brand=…", "price_band=EUR:6", "tag=…", "attribute.country=Italy", "id=…" for the product
    itself, "style" for its visual style). For "session", "item_item" and "bought_together": the
    shopper's product that causes it ("product=wine-7"). For "content": a feature as for "taste"
    without "id=…" and "style", or a pair of them ("brand=… & tag=…"). For "visual" and "text": the
    request's signal ("signals[0]"), or a group of the shopper's last products, the heaviest one
    first ("history[0]"). For any part: "other" (sum of the smallest features, of features that the
    product had only when the model was trained, and of rounding)."""
    value: float
    """Contribution in the unit of the raw score."""


class MoveCause(StrEnum):
    """Rule that moved a product."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    DIVERSITY = "DIVERSITY"
    """Diversity: the product was moved up because it is unlike its neighbours, or down because it
    resembles a better one."""
    BRAND_CAP = "BRAND_CAP"
    """The brand of this product, or of another one, reached its limit of places."""
    CATEGORY_CAP = "CATEGORY_CAP"
    """The category of this product, or of another one, reached its limit of places."""
    POPULARITY = "POPULARITY"
    """Popular products were moved below less popular ones."""
    EXPLORATION = "EXPLORATION"
    """Exploration: this product, or another new one, was placed higher so that shoppers see it."""
    CONTROL = "CONTROL"
    """A control pinned, boosted or buried this product or another one."""
    COLLAPSE = "COLLAPSE"
    """Products above it are not shown: near-duplicates are collapsed into better ones, and products
    deleted meanwhile are skipped."""
    OBJECTIVE = "OBJECTIVE"
    """The scene's objective: products with a higher expected value were moved above those with a
    lower one."""
    CALIBRATION = "CALIBRATION"
    """Calibration: the categories of the list were brought closer to their shares in the shopper's
    history."""


class ScoreNoteCause(StrEnum):
    """Part that is missing, or was replaced."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    NUMBER_MISSING = "NUMBER_MISSING"
    """Products lack the number: the part is 0 for them, and a part that all of them lack is left
    out. For the objective: they lack the price or the cost, and keep their relevance."""
    COST_ABOVE_PRICE = "COST_ABOVE_PRICE"
    """The cost is above the price: the part "margin" is 0."""
    OTHER_CURRENCY = "OTHER_CURRENCY"
    """The currency of the cost is not that of the price, or, for the objective, the price is in
    another currency than most: as if the number were missing."""
    RATING_WITHOUT_COUNT = "RATING_WITHOUT_COUNT"
    """Ratings have no count: they count as if they were a single one."""
    CHANCE_BY_CLICKS = "CHANCE_BY_CLICKS"
    """Too few purchases after impressions to learn the probability of a purchase: it is that of a
    click, multiplied by the catalog's purchases for each click."""
    CHANCE_BY_FORMULA = "CHANCE_BY_FORMULA"
    """Too few events after impressions to learn probabilities: a formula replaces them (see
    Diversity.objective of the ranker), and expected values can only be compared within the answer.
    """
    NOT_APPLIED = "NOT_APPLIED"
    """The ranker did not answer: the objective was not applied."""


class Cause(StrEnum):
    """Cause of the loss."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    EMBEDDER_UNAVAILABLE = "EMBEDDER_UNAVAILABLE"
    """Photos or texts could not be embedded."""
    INDEX_UNAVAILABLE = "INDEX_UNAVAILABLE"
    """The vector index did not answer."""
    RETRIEVER_UNAVAILABLE = "RETRIEVER_UNAVAILABLE"
    """The retriever, which holds the catalog, did not answer."""
    RANKER_UNAVAILABLE = "RANKER_UNAVAILABLE"
    """The ranker did not answer. Products are ordered by similarity."""
    PROFILE_UNAVAILABLE = "PROFILE_UNAVAILABLE"
    """The shopper's history could not be read. There are no personal candidates, and hidden
    products are not known."""
    STAGE_DEADLINE = "STAGE_DEADLINE"
    """A stage used up its share of the deadline."""
    SPACE_UNAVAILABLE = "SPACE_UNAVAILABLE"
    """The space of a signal does not exist yet, e.g. text without a text model."""
    MODEL_NOT_READY = "MODEL_NOT_READY"
    """The promoted ranking model could not be loaded, and products are ordered by similarity and
    popularity; or the model that the scene pins is not loaded, and products are ordered by the
    promoted model. Not reported before a first model is promoted."""
    ANSWER_RECORD_DROPPED = "ANSWER_RECORD_DROPPED"
    """The record of the answer could not be written. Later pages and replay are unavailable."""


class AnswerQuality(StrEnum):
    """Quality of an answer compared with a complete one. Greater numbers are better."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    SNAPSHOT = "SNAPSHOT"
    """The catalog could not be read. The answer shows products as the gateway read them earlier,
    with their prices and availability of that time: see ``as_of`` in the degradation of stage
    "hydrate"."""
    FALLBACK = "FALLBACK"
    """The search failed. The answer shows popular or new products that pass the filter."""
    REDUCED = "REDUCED"
    """The answer shows products that match the request, but without a branch, the ranker or another
    part named in the degradations."""
    FULL = "FULL"
    """Nothing is missing. Two cases do not lower the quality: the loss of later pages
    (ANSWER_RECORD_DROPPED), and popular products for a shopper without history."""


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Duration of one stage of a request."""

    stage: str
    """Stage: "embed", "retrieve", "nominate", "hydrate", "rank" or another one."""
    start: timedelta
    """Time from the start of the request to the start of the stage. Shows which stages ran in
    parallel."""
    total: timedelta
    """Time from the start of the stage to its end, as measured by the service that answers."""
    network: timedelta | None
    """Part of ``total`` spent on the wire and in the peer's queue: ``total`` less the peer's own
    work. None if unknown."""
    work: timedelta | None
    """Part of ``total`` spent on work in the peer, by the peer's clock. None if unknown."""


@dataclass(frozen=True, slots=True)
class SpaceVersion:
    """A space and the index generation that served it."""

    space: str
    """Name of the space, e.g. "visual"."""
    version: str
    """Version of the space."""
    generation: str
    """Index generation that was searched."""


class MatchOutcome(StrEnum):
    """Result of the comparison."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    GOOD = "GOOD"
    """``value`` reaches ``threshold``."""
    POOR = "POOR"
    """No branch has a value that reaches its threshold: ``no_good_match`` is set."""
    NOTHING_FOUND = "NOTHING_FOUND"
    """No product was found, e.g. because none passes the filter: ``no_good_match`` is set."""
    NO_THRESHOLD = "NO_THRESHOLD"
    """There is no threshold for ``value``: the scene sets none, or the index generation is not
    verified."""
    INCOMPLETE = "INCOMPLETE"
    """No value reaches a threshold, but a branch failed that might have found a match; see
    ``degradations``."""


class MatchBasis(StrEnum):
    """Source of ``threshold``."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    REQUEST = "REQUEST"
    """Cosine set by the request (``min_quality``)."""
    SCENE = "SCENE"
    """Cosine set by the scene: ``[match] cosines`` for this space version, otherwise
    ``min_quality``."""
    CATALOG = "CATALOG"
    """Cosine measured on the catalog. In a fitted space, for a photo: the share ``[match] refuse``
    of shoppers' photos of the category that it shows have a lower cosine to their nearest photo.
    Otherwise, when the index generation was verified: that share of its photos have a lower cosine
    to their nearest other product."""
    CHANCE = "CHANCE"
    """Probability set by the scene (``[match] min_chance``), for calibrated scores."""
    WORDS = "WORDS"
    """Match that a product needs with the text's words, set by the scene (``[match]
    min_words``)."""


@dataclass(frozen=True, slots=True)
class CorrectedQuery:
    """A text of the request that was corrected."""

    signal: int
    """Index of the signal in the request."""
    original_text: str
    """The text as it was typed."""
    text: str
    """The text that was searched."""


@dataclass(frozen=True, slots=True)
class EmptyReason:
    """Why an answer has no results."""

    text: str
    """A sentence for people, in English."""
    condition: str
    """The condition of the request's filter that leaves no product, as text, e.g. "category = Red".
    Empty if the reason is another one."""
    near_category_paths: tuple[str, ...]
    """Paths of categories near to those that the condition names, as filters write them, e.g. "Wine
    > Red". Nearest first, up to 5."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a product is in the answer."""

    code: str
    """Machine-readable code in UPPER_SNAKE: LOOKS_LIKE_QUERY, MATCHES_TEXT, LOOKS_LIKE_TEXT,
    MATCHES_WORDS, SIMILAR_TO_VIEWED, VIEWED_RECENTLY, LIKED_TOGETHER, BOUGHT_WITH, MATCHES_TASTE,
    POPULAR, NEW, ALSO_VIEWED, TRENDING, BEST_SELLER, BUY_AGAIN, FOLLOWED, FEATURED, GIVEN. New
    codes may be added: show ``text`` for a code that you do not know."""
    text: str
    """A sentence for the shopper, in the request's language if it is supported, otherwise in
    English."""
    parameters: Mapping[str, str]
    """Values that the code refers to, e.g. {"product_id": "wine-7"}."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Lag of the index behind the catalog."""

    index_token: str
    """Opaque token of the newest write that the index holds completely. A search with it as
    ``min_index_token`` sees that write."""
    lag: timedelta
    """Age of the oldest write that the index does not hold yet. 0 if the index holds all writes."""
    time: datetime | None
    """when the newest completely indexed product was written (UTC); None if none is indexed yet."""
    pending: int
    """Photos with a pending embedding in the searched space."""


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A product found by a search."""

    product: Product
    """The product as currently stored."""
    rank: int
    """Rank, from 1."""
    similarity: float
    """Similarity to the best signal, by the metric of the active generation: cosine, −1 to 1,
    unless it was created with another metric."""
    matched_image_id: str
    """Photo of the product that matched best."""
    collapsed_product_ids: tuple[str, ...] = ()
    """See RecommendedProduct."""


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One part of a raw score."""

    name: str
    """Source of this part. Similarity signals: "visual", "text", "text_visual" (similarity of
    photos to a text), "keywords" (how well words match), "labels" (how well words of the label on a
    photo match), "collaborative". Behaviour: "taste" (long-term taste, or taste inferred from given
    attributes), "session" (closeness to the last products of interest), "item_item" (liked by
    shoppers who liked the last products of interest), "bought_together" (bought with products that
    were recently bought or put into the cart), "content" (what the features of a product that
    nobody liked in training predict for the shopper), "trend" (liked more than usual recently),
    "popularity" (for shoppers whom no model knows; of one who was not in training, or who comes
    back after a day or more: what the model holds of the product for anybody). If the request names
    nothing but a shopper whom no model knows, "visual" and "text" are similarities to their last
    products, and "affinity" is how much the product's category and brand are those of these.
    Recommenders by counts: "co_view" (viewed in the same visits as the anchors), "co_purchase"
    (bought or put into the cart together with the anchors), "trending" (recently more popular than
    usual), "best_sellers", "reorder" (bought before and due again), "recently_viewed",
    "left_in_cart" (put into the cart by the shopper and not bought since). Numbers of the product,
    if the scene weighs them: "rating", "stock", "margin", "low_price" (share of the other
    candidates that cost more), "attribute.NAME". Other: "followed" (has a value that the shopper
    follows, such as an author), "freshness" (how new the product is), "given" (the caller's own
    score of a candidate), "fusion" (fused order of the branches, used when no ranker answered)."""
    value: float
    """Value of the part in the unit of the raw score, which has no fixed range. The raw score is
    the sum of its parts, within 1e-6 × the sum of their absolute values."""
    features: tuple[ScoreFeature, ...] = ()
    """The features that the part consists of, largest first. They sum to ``value``, within 1e-6 ×
    the sum of their absolute values. Set only if the request asks to explain and the part can be
    split."""


@dataclass(frozen=True, slots=True)
class ScoreNote:
    """Data that the scores of an answer lack, or that they use in another form. Does not lower the
    quality of the answer."""

    part: str
    """Part of the score ("margin"), or "objective"."""
    cause: ScoreNoteCause
    """Cause of what is missing."""
    product_count: int
    """Number of candidates that it concerns. 0 if it concerns the answer."""


@dataclass(frozen=True, slots=True)
class Move:
    """Why the product's rank differs from its rank by raw score alone."""

    cause: MoveCause
    """Rule that moved the product."""
    places: int
    """Number of places moved: positive is up, negative is down."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """Loss of quality caused by a dependency that failed."""

    stage: str
    """Stage or branch that was lost, e.g. "embed", "visual", "collaborative", "rank"."""
    cause: Cause
    """Cause of the loss."""
    substitute: str
    """Substitute that the answer uses, in words."""
    as_of: datetime | None = None
    """When the substitute was read (UTC). None if this request read it."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions that produced an answer."""

    spaces: tuple[SpaceVersion, ...]
    """Spaces that were searched."""
    model_version: str
    """Ranking model. Empty if no model ranked (similarity, popularity and session only)."""
    scene: str
    """Name of the scene."""
    scene_version: str
    """Hash of the scene's content."""
    plan: str
    """Plan of the request and its execution, in one human-readable line, e.g. "visual: top 200 (in
    memory, 3068 rows compared) → rank". The text in parentheses is the retriever's plan."""
    service_version: str
    """Version of the gateway that answered."""
    objective: str = ""
    """Aim that the scene is meant to increase: "clicks", "conversion" ("purchases" in older files),
    "revenue" or "margin". Empty if the scene's file does not say. It changes the order only if the
    scene gives it a strength."""


@dataclass(frozen=True, slots=True)
class Match(MatchMethods):
    """The best match, and the threshold that it was compared with."""

    outcome: MatchOutcome
    """Result of the comparison."""
    basis: MatchBasis
    """Source of ``threshold``."""
    product_id: str
    """The nearest product, or the one with the highest probability. Empty if none was found. It may
    have another rank, or be collapsed into another product."""
    value: float | None
    """Similarity (cosine, −1 to 1), probability (0 to 1), or match of words (0 to 1) of the
    product. None if there is none."""
    threshold: float | None
    """The threshold, in the same unit. None if there is none."""
    branch: str
    """Branch that found the product. Empty if ``value`` is a probability."""
    space: SpaceVersion | None
    """Space of the cosine, with version and generation. None if ``value`` is no cosine."""
    event: EventType | None
    """Event whose probability ``value`` is. UNSPECIFIED if ``value`` is no probability."""
    text: str
    """The result in a sentence, in the request's language if it is supported (English, Chinese),
    otherwise in English."""


@dataclass(frozen=True, slots=True)
class RecommendedProduct:
    """A product of an answer."""

    product: Product
    """The product as currently stored; with SNAPSHOT as the gateway last read it."""
    rank: int
    """Rank in the whole answer, from 1."""
    raw_score: float
    """Sum of ``parts``. The order is based on it. It has no fixed range, and only scores of one
    answer are comparable."""
    parts: tuple[ScorePart, ...]
    """Parts of the raw score."""
    reasons: tuple[Reason, ...]
    """Reasons, strongest first. From the third page and from the 101st product on they name only
    the branches that found the product, unless the request asks to ``explain``."""
    matched_image_id: str
    """Photo of the product that matched best. Empty if the product was not found by a photo."""
    branches: tuple[str, ...]
    """Branches that found the product: "popular", "new", "given" (one of the request's
    ``candidates``), "followed", or a similarity signal or recommender that ScorePart.name lists."""
    collapsed_product_ids: tuple[str, ...] = ()
    """Candidates that were collapsed into this product, best first: variants of the same parent,
    and products whose first photo is the same picture."""
    score: float | None = None
    """Probability, 0 to 1, that a shopper who is shown the product does ``score_event`` with it: an
    increasing function of the raw score, learned from impressions. None until there are enough
    impressions, and if no ranker answered."""
    score_event: EventType | None = None
    """Event whose probability ``score`` is. UNSPECIFIED if there is no score."""
    score_rank: int = 0
    """Rank by ``raw_score`` alone among the ranked candidates, from 1."""
    moves: tuple[Move, ...] = ()
    """Why ``rank`` differs from ``score_rank``. Their places sum to score_rank − rank."""
    expected_value: float | None = None
    """What the product is expected to bring each time that its place is looked at, by the scene's
    objective: clicks, purchases, or money in the currency of its price. Set with ``explain``, on
    the first page, if the objective has a strength and the product is among those that it reorders.
    Expected margins reveal costs: only callers with the role ``operate`` see them."""


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The nearest products."""

    results: tuple[FoundProduct, ...]
    """Products, best first."""
    degradations: tuple[Degradation, ...]
    """Degradations. Empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    """Durations of the stages."""
    versions: Versions
    """Versions that produced this answer."""
    freshness: Freshness | None
    """Lag of the searched index behind the catalog. None if no index was searched."""
    request_id: str
    """Id of this request in logs."""
    facets: tuple[Facet, ...] = ()
    """Counts of the requested ``facets``, in their order. Empty if they could not be read; see
    ``degradations``."""
    match: Match | None = None
    """Whether the nearest product is a good match, by the thresholds of scene "default"."""
    corrected_queries: tuple[CorrectedQuery, ...] = ()
    """Positive texts of the request that were corrected, because no product has a word of them.
    Empty if there are none, on later pages, and in catalogs of more than 100,000 products."""
    labels: Mapping[int, tuple[LabelLine, ...]] = field(default_factory=dict)
    """texts read in photos, by index of the signal, if they were asked for or the scene has the
    branch ``labels``. Without lines: the photo was read and has no text."""
    unread_labels: tuple[int, ...] = ()
    """the signals whose labels were left out: too costly, too late or not readable now."""
    unsure_label_lines: Mapping[int, int] = field(default_factory=dict)
    """the numbers of lines that were found in photos and not read with confidence, by index of the
    signal: 1 to 64."""
    empty_reason: EmptyReason | None = None
    """Why there are no results; see RecommendResponse."""


@dataclass(frozen=True, slots=True)
class RecommendedValue:
    """A value of a field, with its best products for the shopper."""

    rank: int
    """Rank, from 1."""
    text: str
    """The value as display text: "Wine > Red", "Casa Valduga"."""
    filter: Filter
    """the filter that products with the value pass: join it to another with ``&``."""
    filter_text: str
    """The same filter in the syntax of the command line: ``brand = "Casa Valduga"``."""
    score: float
    """Score, more than 0, at most 1: how near to the top of the ranking the value's five best
    products are. 1: they are the first five. Only these count, so that a value with many products
    has no advantage beyond them. The discounts of ranks are those of DCG."""
    reasons: tuple[Reason, ...]
    """Reasons of its products, each once; those of more and better ranked products come first."""
    products: tuple[RecommendedProduct, ...]
    """Its best products. Their ``rank`` is that in the whole ranking."""
    candidate_count: int
    """Number of ranked products that have the value."""


@dataclass(frozen=True, slots=True)
class Recommendations:
    """Recommendations."""

    results: tuple[RecommendedProduct, ...]
    """Products, best first."""
    no_good_match: bool
    """True if no product is near enough to the signals. The results are the nearest products."""
    degradations: tuple[Degradation, ...]
    """Degradations. Empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    """Durations of the stages."""
    versions: Versions
    """Versions that produced this answer."""
    freshness: Freshness | None
    """Lag of the searched index behind the catalog. None if no index was searched."""
    missing_product_ids: tuple[str, ...]
    """Ids among the signals, anchors and candidates that are not in the catalog. The answer is
    based on the others."""
    hidden_count: int
    """Number of candidates dropped because the shopper hid them."""
    attribution_token: str
    """Opaque token that joins events to this answer. Send it with events."""
    next_page_token: str
    """Token of the next page. Empty on the last page."""
    request_id: str
    """Id of this request in logs."""
    match: Match | None = None
    """Basis of ``no_good_match``. None if no signal was searched."""
    quality: AnswerQuality = AnswerQuality.UNKNOWN
    """Quality of this page; ``degradations`` lists what is missing."""
    experiment_arms: tuple[str, ...] = ()
    """Experiment arms of this answer, each as "EXPERIMENT/ARM". Empty if no experiment ran."""
    control_outcomes: tuple[ControlOutcome, ...] = ()
    """Effects of the controls of the request and of its scene, on the first page."""
    request_cost_ms: float = 0.0
    """CPU time in milliseconds spent on this answer, summed over the gateway and the calls that it
    made. Greater than 0; may exceed the duration of the request if work ran in parallel. Not
    included: inference, the vector engine and databases, parsing and sending of messages, decoding
    of photos in separate processes, failed calls, and work done after the answer. Work shared
    between requests counts for the request that started it."""
    corrected_queries: tuple[CorrectedQuery, ...] = ()
    """Positive texts of the request that were corrected, because no product has a word of them.
    Empty if there are none, on later pages, and in catalogs of more than 100,000 products."""
    labels: Mapping[int, tuple[LabelLine, ...]] = field(default_factory=dict)
    """texts read in photos, by index of the signal, if they were asked for or the scene has the
    branch ``labels``. Without lines: the photo was read and has no text."""
    unread_labels: tuple[int, ...] = ()
    """the signals whose labels were left out: too costly, too late or not readable now."""
    unsure_label_lines: Mapping[int, int] = field(default_factory=dict)
    """the numbers of lines that were found in photos and not read with confidence, by index of the
    signal: 1 to 64."""
    score_notes: tuple[ScoreNote, ...] = ()
    """What the scores of this answer lack: numbers of products, or events for the scene's
    objective. On the first page."""
    detections: tuple[ProductDetection, ...] = ()
    """Objects found in the photo from which the scene takes the anchors (``anchors_from =
    "photo"``), in reading order: the anchors are the products of these places, those with the most
    places first. On the first page. Empty if nothing was found, or the anchors are from elsewhere.
    """
    empty_reason: EmptyReason | None = None
    """Why the first page has no results. None if it has some, if no condition is the reason, or if
    it is unknown."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of all products that pass."""

    results: tuple[RecommendedProduct, ...]
    """Products, in order. Scores, parts and reasons are set for a shopper only."""
    product_count: int
    """Number of products that pass. Variants of one parent count once: the first in order stands
    for the others, its ``collapsed_product_ids``."""
    facets: tuple[Facet, ...]
    """Counts of the requested ``facets``, in their order, on the first page."""
    next_page_token: str
    """Token of the next page. Empty on the last page, and if the catalog can't be read; see
    ``degradations``."""
    etag: str
    """Tag of the page, which changes with every write of the catalog. Empty for a shopper, and for
    degraded pages."""
    not_modified: bool
    """True if the page is as in ``if_none_match``. All other fields but ``etag`` and ``request_id``
    are then empty."""
    degradations: tuple[Degradation, ...]
    """Degradations. Empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    """Durations of the stages."""
    quality: AnswerQuality
    """Quality of this page; ``degradations`` lists what is missing."""
    hidden_count: int
    """Number of products of the page that were left out because the shopper hid them."""
    attribution_token: str
    """For a shopper's page that the ranker ordered: opaque token that joins events to it. Otherwise
    empty."""
    control_outcomes: tuple[ControlOutcome, ...]
    """Effects of the controls of the request and of its scene, on the first page. Boosts are not
    listed."""
    request_id: str
    """Id of this request in logs."""
    versions: Versions | None = None
    """Versions that produced this page."""
    score_notes: tuple[ScoreNote, ...] = ()
    """What the scores of this page lack: numbers of its products, or events for the scene's
    objective. Empty without a shopper."""
    empty_reason: EmptyReason | None = None
    """Why the first page has no results; see RecommendResponse."""


@dataclass(frozen=True, slots=True)
class RecommendedValues:
    """The values of one field, best first."""

    values: tuple[RecommendedValue, ...]
    """Values, best first. Values without an available product are left out."""
    more_count: int
    """Number of further values that the ranked products have."""
    degradations: tuple[Degradation, ...]
    """Degradations. Empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    """Durations of the stages."""
    versions: Versions
    """Versions that produced this answer."""
    freshness: Freshness | None
    """Lag of the searched index behind the catalog. None if no index was searched."""
    missing_product_ids: tuple[str, ...]
    """Ids among the signals, anchors and candidates that are not in the catalog. The answer is
    based on the others."""
    hidden_count: int
    """Number of candidates dropped because the shopper hid them."""
    attribution_token: str
    """Opaque token that joins events to this answer. Send it with events. The answer's record holds
    the ranked products."""
    request_id: str
    """Id of this request in logs."""
    quality: AnswerQuality
    """Quality of this answer; ``degradations`` lists what is missing."""
    control_outcomes: tuple[ControlOutcome, ...]
    """Effects of the controls of the request and of its scene on the ranked products."""
    experiment_arms: tuple[str, ...]
    """Experiment arms of this answer, each as "EXPERIMENT/ARM". Empty if no experiment ran."""
    request_cost_ms: float
    """CPU time in milliseconds spent on this answer; see RecommendResponse."""
    match: Match | None = None
    """The best match. None if no signal was searched."""
    score_notes: tuple[ScoreNote, ...] = ()
    """What the scores of the ranked products lack: numbers of products, or events for the scene's
    objective."""
    empty_reason: EmptyReason | None = None
    """Why there is no value. None if there are some, if no condition is the reason, or if it is
    unknown."""


@dataclass(frozen=True, slots=True)
class ShelfAnswer:
    """The answer to a shelf."""

    shelf_id: str
    """Id of the shelf, as in the request."""
    answer: Recommendations | SearchResults | Listing | None
    """the answer to the shelf's query; None if it failed."""
    error: SightlineError | None
    """Why the shelf has no answer. Fields in it are relative to the shelf's query."""
    attribution_token: str
    """Opaque token that joins events to this shelf. Send it with events. Empty without an answer,
    and for a search or list that could not be recorded. A recommendation that could not be recorded
    is degraded (ANSWER_RECORD_DROPPED)."""


@dataclass(frozen=True, slots=True)
class Shelves:
    """Several shelves."""

    shelves: tuple[ShelfAnswer, ...]
    """The shelves, in the order of the request."""
    request_id: str
    """Id of this request in logs."""
    request_cost_ms: float
    """CPU time in milliseconds spent on all shelves; see RecommendResponse. It is not set for a
    single shelf."""
