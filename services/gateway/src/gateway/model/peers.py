"""Requests to peers and their responses, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.answer import AnswerOrder, AnswerRecord
from gateway.model.candidates import Contributions, FusedCandidates
from gateway.model.causes import Degradation
from gateway.model.columns import ProductColumns
from gateway.model.diversity import Diversity
from gateway.model.filters import CallersFilter
from gateway.model.opaque_messages import (
    Box,
    Classification,
    Facet,
    FacetRequest,
    LabelLine,
    ProductRow,
    RecallEstimate,
    Subject,
    Vector,
)
from gateway.model.query import Shopper, Signal
from gateway.model.reasons import Reason
from gateway.model.scene import AnchorSource, AppliedObjective
from gateway.model.score_notes import ScoreNote
from gateway.model.versions import Freshness, SpaceVersion
from servicekit.errors import ServiceError


@dataclass(frozen=True, slots=True)
class VectorBlend:
    """Vectors and products of one space that the retriever combines into one query."""

    space: str
    parts: tuple[tuple[float, Vector | str], ...]
    """Parts with their weights, negative to move away; a text is a product's id."""


@dataclass(frozen=True, slots=True)
class ReadLabel:
    """The texts in a photo."""

    lines: Sequence[LabelLine]
    """In reading order."""
    unsure: int
    """Number of further lines in the photo that were found and not read with confidence."""
    work: float | None


@dataclass(frozen=True, slots=True)
class EmbeddedSignals:
    """Embeddings of several signals, in their order."""

    items: tuple[Vector | ServiceError, ...]
    work: float | None
    """Seconds of work in the peer; `None` if unknown."""
    subjects: tuple[Subject | None, ...] = ()
    """Detected subjects by signal; empty if none was requested."""
    classifications: tuple[Classification | None, ...] = ()
    """Predicted categories by signal, `None` without a classification head; empty if none was
    requested."""


@dataclass(frozen=True, slots=True)
class EmbeddedSignal:
    """A signal with its vector."""

    signal: Signal
    vector: Vector
    classification: Classification | None = None
    """Predicted categories of a photo; `None`: not requested, or without a classification head."""


@dataclass(frozen=True, slots=True)
class EmbeddedRegions:
    """Objects in a photo, with their vectors, best first."""

    boxes: Sequence[Box]
    objectness: Sequence[float]
    vectors: Sequence[Vector]
    views: int
    """Number of embedded views: VIEWS_A_DETECTION for each object, less where some look alike."""
    truncated: bool
    """True if the photo shows more."""
    work: float | None
    small: bool = False
    """True if they are so small that others were probably missed."""


@dataclass(frozen=True, slots=True)
class UsedSynonym:
    """Part of a text, and what the catalog's synonyms name for it."""

    typed: str
    """Folded to lower case without accents."""
    term: str


@dataclass(frozen=True, slots=True)
class NearestProducts:
    """The products nearest to a vector or product, nearest first."""

    columns: ProductColumns
    similarities: Sequence[float]
    """Cosine, −1 to 1, one per product."""
    image_ids: Sequence[str]
    """Photo that matched best, one per product."""
    space: SpaceVersion | None
    freshness: Freshness | None
    plan: str
    work: float | None
    collapsed: Sequence[Sequence[str]] = ()
    """Near-duplicates of each product among those found; empty if none."""
    own: ProductColumns | None = None
    """The query's product, whose near-duplicates were excluded; `None` if it has none."""
    degradations: tuple[Degradation, ...] = ()
    """Degradations that the retriever reports."""
    nearest_cosines: Sequence[float] = ()
    """Cosines of the catalog's own photos to their nearest other product in this space; empty if
    not measured."""
    synonyms: Mapping[str, UsedSynonym] = field(default_factory=dict)
    """By product that lacks a part of the text: the synonym that it has instead."""
    corrected_text: str = ""
    """Text that was searched by words; empty: the given one."""
    label_words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By product: the words of the label that it has, folded."""


class NominationBasis(StrEnum):
    """Basis on which candidates were generated."""

    NOTHING = "nothing"
    LONG_TERM = "long-term"
    SESSION = "session"
    POPULARITY = "popularity"


@dataclass(frozen=True, slots=True)
class RequestAnchors:
    """Products that a request is about."""

    product_ids: tuple[str, ...] = ()
    """Most important first."""
    source: AnchorSource = AnchorSource.REQUEST
    """Source of the anchors if `product_ids` is empty."""

    def __bool__(self) -> bool:
        return bool(self.product_ids) or self.source.is_history


NO_ANCHORS = RequestAnchors()


@dataclass(frozen=True, slots=True)
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
    """Recommenders that are requested then, and beside a model without the shopper."""


NO_RECOMMENDERS = Recommenders()


@dataclass(frozen=True, slots=True)
class RecommenderList:
    """Candidates of one recommender, best first."""

    recommender: str
    product_ids: tuple[str, ...]
    scores: tuple[float, ...]
    """0 to 1, descending."""


@dataclass(frozen=True, slots=True)
class RankerCandidates:
    """Candidates that the ranker generates by behaviour, best first."""

    product_ids: tuple[str, ...]
    """With `vectors`: only those that a search with these can't find."""
    basis: NominationBasis
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    vectors: tuple[Vector, ...] = ()
    """For a large catalog: the shopper in the collaborative space, by the requested model, then by
    the serving one and its predecessor."""
    exclude: tuple[str, ...] = ()
    """With `vectors`: products to exclude."""
    history_token: str = ""
    """Identifies the history that was read, for a ranking of the same request."""
    lists: tuple[RecommenderList, ...] = ()
    anchors: tuple[str, ...] = ()
    """Anchors that were used."""
    last_products: Mapping[str, float] = field(default_factory=dict)
    """The shopper's last products with their weights, newest first, if no model knows the shopper.
    """


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Similarity of two photos by region."""

    png: bytes
    similarity: float
    """Cosine."""
    unplaced: float
    """Part of the similarity without a position in the first photo."""
    space_version: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a product does not pass a filter."""

    product_id: str = ""
    path: str = ""
    """Path within the caller's filter; empty if the condition is not the caller's."""
    condition: str = ""
    """The condition that fails, in words."""
    held: tuple[str, ...] = ()
    """The product's values of its fields."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """State of a space in record and index; −1 if unknown."""

    products: int = 0
    indexed: int = 0
    pending: int = 0
    failed: int = 0
    space: SpaceVersion | None = None
    """`None` if it has no index generation."""
    freshness: Freshness | None = None
    recall: Sequence[RecallEstimate] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True)
class CheckedProducts:
    """Products that may be in the answer, and why others may not."""

    columns: ProductColumns
    missing: frozenset[str]
    """Products that are not in the catalog."""
    rejections: Mapping[str, Rejection]


@dataclass(frozen=True, slots=True)
class ProductRows:
    """Products as currently stored, and titles of others."""

    rows: tuple[ProductRow, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    """By product id; unavailable titles are missing."""


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """Request for a page of all products that pass."""

    order: str
    """Name of an order in the table of fields; RANKED: by `ranked`; RELEVANCE: by the matches of
    the text's words."""
    size: int
    token: str = ""
    text: str = ""
    language_code: str = ""
    """Language of the text."""
    exclude: Sequence[str] = ()
    exclude_families: Sequence[str] = ()
    """Products that are excluded with their variants."""
    ranked: Sequence[str] = ()
    """Best first; the others follow, newest first. With RELEVANCE: the order of equal matches."""
    last: Sequence[CallersFilter] = ()
    """Products that pass one of these follow after all others."""
    last_ids: Sequence[str] = ()
    """Products that follow after all others too."""
    facets: Sequence[FacetRequest] = ()
    known_state: str = ""
    costs: bool = False
    """True if the columns have the products' costs, which the rows never have."""


@dataclass(frozen=True, slots=True)
class SuggestedText:
    """A text that the catalog suggests."""

    text: str
    marks: Sequence[tuple[int, int]]
    """Parts that were typed, from and before, in code points."""
    count: int = 0
    """Number of products; 0 for a product."""
    field: str = ""
    """Of a facet value."""
    filter: object = None
    """Of a facet value: the message of the filter for its products."""
    filter_text: str = ""
    product_id: str = ""


@dataclass(frozen=True, slots=True)
class CatalogSuggestions:
    """Suggestions of a catalog, by kind, each best first."""

    completions: Sequence[SuggestedText] = ()
    facet_values: Sequence[SuggestedText] = ()
    products: Sequence[SuggestedText] = ()
    corrected: bool = False
    """True if nothing has the words as typed."""


RANKED = "RANKED"


@dataclass(frozen=True, slots=True)
class ListedProducts:
    """A page of all products that pass."""

    rows: tuple[ProductRow, ...]
    columns: ProductColumns
    variants: Sequence[Sequence[str]]
    """Variants of each product that pass too; empty if no product has any."""
    total: int
    facets: Sequence[Facet]
    next_token: str
    state: str
    """Token of the catalog's content, which changes with every write."""
    not_modified: bool


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """Rules by which a recorded answer is ranked again."""

    weights: Mapping[str, float]
    diversity: Diversity
    products: Sequence[ProductRow]
    """Current data of the candidates."""
    objective: AppliedObjective = AppliedObjective()  # noqa: RUF009  # frozen
    costs: bool = True
    """False: the candidates' costs are left out, because the caller may not read them."""


@dataclass(frozen=True, slots=True)
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
    diversity: Diversity = field(default_factory=Diversity)
    objective: AppliedObjective = AppliedObjective()  # noqa: RUF009  # frozen
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
    record: "AnswerRecord | None" = None
    """What the ranker records of the answer, without its order; `None` disables recording."""
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
    explored: Sequence[int] = ()
    """Indexes, from 0, of products placed by exploration."""
    explain: bool = False
    anchors: RequestAnchors = NO_ANCHORS
    model_version: str = ""
    """As in RankRequest."""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """Reasons of ranked products, in the order of the request."""

    reasons: Sequence[tuple[Reason, ...]]
    contributions: Mapping[str, Sequence[Contributions]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProductSales:
    """Units of a product that were sold. Days are numbered since 1970 (UTC)."""

    first_day: int = 0
    """First day with any event of interest; 0: none."""
    units: Mapping[int, int] = field(default_factory=dict)
    """By day, of the requested ones."""


@dataclass(frozen=True, slots=True)
class CountedSales:
    """Units of products that were sold on the last days."""

    first_day: int
    """First of the requested days on which the catalog has events; 0: none."""
    last_day: int
    products: Mapping[str, ProductSales]
