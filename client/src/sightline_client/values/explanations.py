"""Explanations of a product's place in an answer, as plain values."""

from dataclasses import dataclass, field
from enum import StrEnum

from sightline_client.values.answers import Degradation, Move, Reason, ScorePart, Versions
from sightline_client.values.products import Product


class Outcome(StrEnum):
    """Outcome of the product; the first of these that applies."""

    UNKNOWN = "UNKNOWN"
    SHOWN = "SHOWN"
    """It is on the first page."""
    PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
    """The catalog does not hold it."""
    EXCLUDED = "EXCLUDED"
    """The request excludes it."""
    FILTERED = "FILTERED"
    """The request's filter does not pass it: see ``rejection``."""
    UNAVAILABLE = "UNAVAILABLE"
    """It can't be bought now, and the scene leaves such products out."""
    HIDDEN = "HIDDEN"
    """The shopper hid it."""
    SEEN = "SEEN"
    """The shopper has seen it, and the scene leaves such products out."""
    COLLAPSED = "COLLAPSED"
    """It stands behind ``collapsed_into_product_id`` as a near-duplicate."""
    NOT_A_CANDIDATE = "NOT_A_CANDIDATE"
    """Nothing named it: see ``branches``. ``rank`` and ``score`` say where it would stand."""
    EXCLUDED_BY_CONTROL = "EXCLUDED_BY_CONTROL"
    """A control of the request or of its scene leaves it out."""
    OUTRANKED = "OUTRANKED"
    """Others stand before it: ``score`` against ``last_shown``."""


@dataclass(frozen=True, slots=True)
class FilterRejection:
    """Condition of a filter that the product fails."""

    path: str
    """The condition that decides, e.g. "filter.all.filters[1].comparison"; "" = the scene's."""
    condition: str
    """As the command line writes it: "price < 30 EUR"."""
    held: tuple[str, ...]
    """What the product has: "price: 45 EUR"."""


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """The product's place in one list of candidates."""

    branch: str
    """ "visual", "text", "text_visual", "keywords", "collaborative", "popular", "new"."""
    signal: int | None
    """Place (from 0) of the signal that the list is near to; None = it is near to none."""
    named: bool
    named_count: int
    """How many products the list holds."""
    similarity: float | None
    """How near the product is, −1 to 1; None = not known."""
    last_similarity: float | None
    """How near the last product of the list is."""


@dataclass(frozen=True, slots=True)
class ExplainedScore:
    """A score and what it is made of."""

    product_id: str
    raw_score: float
    parts: tuple[ScorePart, ...]
    """Split by feature."""
    score_rank: int
    """Place by ``raw_score`` alone, from 1."""
    moves: tuple[Move, ...]
    """Why it stands elsewhere."""
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The product's place in the answer to a request, and why."""

    outcome: Outcome
    text: str
    """The outcome as a sentence, in the request's language."""
    product: Product | None
    """None when the catalog does not hold it."""
    rejection: FilterRejection | None
    collapsed_into_product_id: str
    branches: tuple[BranchVerdict, ...]
    rank: int
    """Place in the whole answer, or the one that it would have; 0 = none."""
    score: ExplainedScore | None
    """None when it was not scored."""
    last_shown: ExplainedScore | None
    """The last product of the first page."""
    degradations: tuple[Degradation, ...]
    """What is degraded: the outcome is that of a poorer answer."""
    versions: Versions
    request_id: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Regions of a photo and of a product's photo that make them similar."""

    png: bytes = field(repr=False)
    """A picture: your photo above, the product's below, as the model sees them. Orange regions make
    the two similar, blue ones less so."""
    similarity: float
    """Cosine of the two photos, −1 to 1: what the regions of each sum to, with ``unplaced``."""
    unplaced: float
    """What of it has no place in your photo, such as the colours of all of it."""
    image_id: str
    """The product's photo that was compared."""
    space_version: str
    request_id: str
