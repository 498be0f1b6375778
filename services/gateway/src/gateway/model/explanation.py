"""Position of a product in the answer to a request, with the explanation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.controls import ControlOutcomes
from gateway.model.peers import ReadLabel
from sightline_core.answer import AnswerResult
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import ProductRow
from sightline_core.search import Rejection
from sightline_core.versions import Versions


class ProductOutcome(StrEnum):
    """Result for the product; names are those of Outcome without its prefix."""

    SHOWN = "SHOWN"
    PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
    EXCLUDED = "EXCLUDED"
    EXCLUDED_BY_CONTROL = "EXCLUDED_BY_CONTROL"
    FILTERED = "FILTERED"
    UNAVAILABLE = "UNAVAILABLE"
    HIDDEN = "HIDDEN"
    SEEN = "SEEN"
    COLLAPSED = "COLLAPSED"
    NOT_A_CANDIDATE = "NOT_A_CANDIDATE"
    OUTRANKED = "OUTRANKED"


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """Position of the product in one list of a branch."""

    branch: str
    named: bool
    named_count: int
    """Number of products in the list."""
    similarity: float | None = None
    last_similarity: float | None = None
    """Similarity of the last product in the list."""
    signal: int | None = None
    """Index of the list's signal in the request; `None` if it has none, or several."""


@dataclass(frozen=True, slots=True)
class ProductExplanation:
    """Position of a product, with the explanation."""

    outcome: ProductOutcome
    row: ProductRow | None = None
    rejection: Rejection | None = None
    collapsed_into: str = ""
    branches: tuple[BranchVerdict, ...] = ()
    placed: AnswerResult | None = None
    """Its rank, or the rank that it would have, with its score; `None` if it was not scored."""
    last_shown: AnswerResult | None = None
    degradations: tuple[Degradation, ...] = ()
    versions: Versions | None = None
    labels: Mapping[int, ReadLabel] = field(default_factory=dict)
    """Lines read in photos, by index of the signal."""
    unread: tuple[int, ...] = ()
    """Signals whose labels were wanted and were not read."""
    resting: ControlOutcomes = ()
    """Controls that do not apply to the request."""
