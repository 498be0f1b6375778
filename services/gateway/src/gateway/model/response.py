"""Responses of the use cases."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import NamedTuple

from gateway.model.controls import NO_OUTCOMES, ControlOutcomes
from gateway.model.match import Match
from gateway.model.peers import ReadLabel
from gateway.model.quality import Quality
from servicekit.errors import ServiceError
from sightline_core.answer import AnswerResult
from sightline_core.columns import NO_PRODUCTS, ProductColumns
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import Classification, Facet, ProductRow
from sightline_core.reasons import Reason
from sightline_core.score_notes import ScoreNote
from sightline_core.versions import Freshness, StageTiming, Versions
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.filters import Comparison
from sightline_rules.photo_products import Detection


@fast_dataclass(frozen=True, slots=True)
class CorrectedQuery:
    """A text of the request that was corrected."""

    signal: int
    """Index in the request."""
    original: str
    text: str


@fast_dataclass(frozen=True, slots=True)
class EmptyReason:
    """Why an answer has no results."""

    text: str
    condition: str = ""
    """The condition of the request that leaves no product; empty if it is none of its own."""
    near_category_paths: Sequence[str] = ()


@fast_dataclass(frozen=True, slots=True)
class RecommendAnswer:
    """Response of Recommend."""

    results: tuple[AnswerResult, ...]
    no_good_match: bool
    quality: Quality
    degradations: tuple[Degradation, ...]
    timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    missing_product_ids: tuple[str, ...]
    hidden_count: int
    attribution_token: str
    next_page_token: str
    labels: Mapping[int, ReadLabel] = field(default_factory=dict)
    """Texts read in photos, by index of the signal."""
    unread: tuple[int, ...] = ()
    """Signals whose labels were wanted and were not read."""
    match: Match | None = None
    """The best match; `None` if no signal was searched."""
    arms: tuple[str, ...] = ()
    """Experiment arms of the answer."""
    control_outcomes: ControlOutcomes = NO_OUTCOMES
    candidates: ProductColumns = NO_PRODUCTS
    """Candidates of the first page."""
    corrected: tuple[CorrectedQuery, ...] = ()
    score_notes: tuple[ScoreNote, ...] = ()
    """Notes about data that the scores lack, on the first page."""
    detections: Sequence[Detection] = ()
    """Products that were found in the photo that gave the anchors, on the first page."""
    empty_reason: EmptyReason | None = None


@fast_dataclass(frozen=True, slots=True)
class RecommendedValue:
    """A value of a field, with its best products."""

    rank: int
    """Rank, from 1."""
    text: str
    """The value as display text."""
    condition: Comparison
    """Condition that the products with this value pass."""
    score: float
    """More than 0, at most 1; see ranking/field_values.py."""
    reasons: tuple[Reason, ...]
    """Those of its products, each once."""
    products: tuple[AnswerResult, ...]
    candidate_count: int
    """Number of ranked products that have the value."""


@fast_dataclass(frozen=True, slots=True)
class ValuesAnswer:
    """Response of RecommendValues."""

    values: tuple[RecommendedValue, ...]
    more_count: int
    """Number of further values."""
    answer: RecommendAnswer
    """The answer that the values are made of; its results are the products of all values."""


class FoundProduct(NamedTuple):
    """A product found by Search, with the fields of its message."""

    product: ProductRow
    rank: int
    """Rank, from 1."""
    similarity: float
    """Best cosine to the signals; 0 if found by its words only."""
    matched_image_id: str
    collapsed_product_ids: tuple[str, ...]


@fast_dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Response of Search."""

    results: tuple[FoundProduct, ...]
    degradations: tuple[Degradation, ...]
    timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    facets: Sequence[Facet]
    match: Match | None
    """The best match; `None` if no signal was searched."""
    candidates: ProductColumns = NO_PRODUCTS
    corrected: tuple[CorrectedQuery, ...] = ()
    labels: Mapping[int, ReadLabel] = field(default_factory=dict)
    """Texts read in photos, by index of the signal."""
    unread: tuple[int, ...] = ()
    """Signals whose labels were wanted and were not read."""
    empty_reason: EmptyReason | None = None


@fast_dataclass(frozen=True, slots=True)
class ListAnswer:
    """Response of List."""

    etag: str = ""
    not_modified: bool = False
    results: tuple[AnswerResult, ...] = ()
    total: int = 0
    """Products that pass; variants of one parent count once."""
    facets: Sequence[Facet] = ()
    next_page_token: str = ""
    degradations: tuple[Degradation, ...] = ()
    timings: tuple[StageTiming, ...] = ()
    versions: Versions | None = None
    quality: Quality = Quality.ANY
    hidden_count: int = 0
    attribution_token: str = ""
    control_outcomes: ControlOutcomes = NO_OUTCOMES
    candidates: ProductColumns = NO_PRODUCTS
    """The products of the page, without pins."""
    score_notes: tuple[ScoreNote, ...] = ()
    empty_reason: EmptyReason | None = None


@fast_dataclass(frozen=True, slots=True)
class ShelfAnswer:
    """A shelf of RecommendShelves."""

    shelf_id: str
    answer: RecommendAnswer | SearchAnswer | ListAnswer | ServiceError
    attribution_token: str = ""
    """Empty without an answer, and for a search or list that was not recorded."""


@fast_dataclass(frozen=True, slots=True)
class Proposal:
    """Categories to search in."""

    paths: tuple[tuple[str, ...], ...]
    probability: float
    """Probability, by the guesses, that the photo shows one of the categories."""


@fast_dataclass(frozen=True, slots=True)
class Classified:
    """Response of Classify."""

    classification: Classification
    proposals: tuple[Proposal, ...] = ()
