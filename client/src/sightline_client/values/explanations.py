"""Explanations of a product's rank in an answer, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sightline_client.values.answers import Degradation, Move, Reason, ScorePart, Versions
from sightline_client.values.products import Product
from sightline_client.values.signals import LabelLine


class ProductOutcome(StrEnum):
    """Result for the product: the first of these that applies."""

    UNKNOWN = "UNKNOWN"
    SHOWN = "SHOWN"
    """It is on the first page."""
    PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
    """The product is not in the catalog."""
    EXCLUDED = "EXCLUDED"
    """The request excludes it."""
    FILTERED = "FILTERED"
    """The product does not pass the request's filter: see ``rejection``."""
    UNAVAILABLE = "UNAVAILABLE"
    """The product can't be bought now, and the scene excludes such products."""
    HIDDEN = "HIDDEN"
    """The shopper hid it."""
    SEEN = "SEEN"
    """The shopper has seen the product, and the scene excludes such products."""
    COLLAPSED = "COLLAPSED"
    """The product is a near-duplicate of ``collapsed_into_product_id`` and collapsed into it."""
    NOT_A_CANDIDATE = "NOT_A_CANDIDATE"
    """No branch found it: see ``branches``. ``rank`` and ``score`` say where it would be placed."""
    EXCLUDED_BY_CONTROL = "EXCLUDED_BY_CONTROL"
    """A control of the request or of its scene excludes the product."""
    OUTRANKED = "OUTRANKED"
    """Other products rank higher: compare ``score`` with ``last_shown``."""


@dataclass(frozen=True, slots=True)
class FilterRejection:
    """Condition of a filter that the product fails."""

    path: str
    """The condition that decides, e.g. "filter.all.filters[1].comparison"; "" if the scene sets it.
    """
    condition: str
    """The condition in the syntax of the command line: "price < 30 EUR"."""
    held: tuple[str, ...]
    """The product's values: "price: 45 EUR"."""


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """The product's position in one list of candidates."""

    branch: str
    """ "visual", "text", "text_visual", "keywords", "collaborative", "popular", "new"."""
    signal: int | None
    """Index of the list's signal in the request, from 0; `None` if it has no signal."""
    named: bool
    named_count: int
    """Number of products in the list."""
    similarity: float | None
    """Similarity of the product, −1 to 1; `None` if unknown."""
    last_similarity: float | None
    """Similarity of the last product in the list."""


@dataclass(frozen=True, slots=True)
class ExplainedScore:
    """A score and its explanation."""

    product_id: str
    raw_score: float
    parts: tuple[ScorePart, ...]
    """Split by feature."""
    score_rank: int
    """Rank by ``raw_score`` alone, from 1."""
    moves: tuple[Move, ...]
    """Why the rank differs from ``score_rank``."""
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Position of a product in the answer to a request, with the explanation."""

    outcome: ProductOutcome
    text: str
    """The outcome as a sentence, in the request's language."""
    product: Product | None
    """`None` if it is not in the catalog."""
    rejection: FilterRejection | None
    collapsed_into_product_id: str
    branches: tuple[BranchVerdict, ...]
    rank: int
    """Rank in the whole answer, or the rank that it would have; 0 if none."""
    score: ExplainedScore | None
    """`None` if it was not scored."""
    last_shown: ExplainedScore | None
    """The last product of the first page."""
    degradations: tuple[Degradation, ...]
    """Degradations of the answer that is explained."""
    versions: Versions
    request_id: str
    labels: Mapping[int, tuple[LabelLine, ...]] = field(default_factory=dict)
    """Texts read in photos, by index of the signal, where the scene has the branch ``labels``.
    Without lines: the photo was read and has no text."""
    unread_labels: tuple[int, ...] = ()
    """Signals whose labels were left out: too costly, too late or not readable now."""
    unsure_label_lines: Mapping[int, int] = field(default_factory=dict)
    """Numbers of lines that were found in photos and not read with confidence, by index of the
    signal: 1 to 64."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Regions of a photo and of a product's photo that make them similar."""

    png: bytes = field(repr=False)
    """The picture: your photo above, the product's photo below, as the model sees them. Orange
    regions increase the similarity, blue ones decrease it."""
    similarity: float
    """Cosine of the two photos, −1 to 1: the sum of the contributions of each photo's regions and
    ``unplaced``."""
    unplaced: float
    """Part of the similarity without a position in your photo, such as overall colour."""
    image_id: str
    """The product's photo that was compared."""
    space_version: str
    request_id: str
