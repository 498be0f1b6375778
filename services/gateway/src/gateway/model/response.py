"""What the use cases answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model.answer import AnswerResult
from gateway.model.carried import Classification, Facet, ProductRow, Subject
from gateway.model.causes import Degradation
from gateway.model.controls import NO_OUTCOMES, ControlOutcomes
from gateway.model.match import Match
from gateway.model.quality import Quality
from gateway.model.versions import Freshness, StageTiming, Versions


@dataclass(frozen=True, slots=True)
class RecommendAnswer:
    """What Recommend answers."""

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
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    """Where the subjects of photos are, by the signals' places."""
    match: Match | None = None
    """The best match; None: no signal was searched for."""
    arms: tuple[str, ...] = ()
    """Of experiments, that answered."""
    control_outcomes: ControlOutcomes = NO_OUTCOMES


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A product that Search found."""

    product: ProductRow
    rank: int
    """From 1."""
    similarity: float
    """Best cosine to the signals; 0: named by its words alone."""
    matched_image_id: str
    collapsed_product_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What Search answers."""

    results: tuple[FoundProduct, ...]
    degradations: tuple[Degradation, ...]
    timings: tuple[StageTiming, ...]
    versions: Versions
    freshness: Freshness | None
    subjects: Mapping[int, Subject]
    """Where the subjects of photos are, by the signals' places."""
    facets: Sequence[Facet]
    match: Match | None
    """The best match; None: no signal was searched for."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Categories to search in."""

    paths: tuple[tuple[str, ...], ...]
    probability: float
    """The chance that what the photo shows is in one of them, by the guesses."""


@dataclass(frozen=True, slots=True)
class Classified:
    """What Classify answers."""

    classification: Classification
    proposals: tuple[Proposal, ...] = ()
    subject: Subject | None = None
