"""Where a product is in the answer to a request, and why."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.model.answer import AnswerResult
from gateway.model.carried import ProductRow
from gateway.model.causes import Degradation
from gateway.model.peers import Rejection
from gateway.model.versions import Versions


class ProductOutcome(StrEnum):
    """What became of the product; the names are those of Outcome without its prefix."""

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
    """Where one list of a branch has the product."""

    branch: str
    named: bool
    named_count: int
    """How many products the list names."""
    similarity: float | None = None
    last_similarity: float | None = None
    """Of the last product that the list names."""
    signal: int | None = None
    """The place of the signal that the list is near to; None: of several, or of none."""


@dataclass(frozen=True, slots=True)
class ProductExplanation:
    """Where a product is, and why."""

    outcome: ProductOutcome
    row: ProductRow | None = None
    rejection: Rejection | None = None
    collapsed_into: str = ""
    branches: tuple[BranchVerdict, ...] = ()
    placed: AnswerResult | None = None
    """Where it is, or would be, with its score; None = it was not scored."""
    last_shown: AnswerResult | None = None
    degradations: tuple[Degradation, ...] = ()
    versions: Versions | None = None
