"""Where a product stands in the answer to a request, and why, as values."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.model import Branch, Degradation, ProductRow, Rejection, Result, Versions


class Outcome(StrEnum):
    """What became of the product; the names are those of Outcome without its prefix."""

    SHOWN = "SHOWN"
    PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
    EXCLUDED = "EXCLUDED"
    FILTERED = "FILTERED"
    UNAVAILABLE = "UNAVAILABLE"
    HIDDEN = "HIDDEN"
    SEEN = "SEEN"
    COLLAPSED = "COLLAPSED"
    NOT_A_CANDIDATE = "NOT_A_CANDIDATE"
    OUTRANKED = "OUTRANKED"


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """What one list of a branch says of the product."""

    branch: Branch
    signal: int | None
    """The place of the signal that the list is near to; None = it is near to none."""
    named: bool
    named_count: int
    similarity: float | None
    """Cosine; None = the list has no similarities, or the product has none."""
    last_similarity: float | None
    """Of the last product named."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a product stands, and why."""

    outcome: Outcome
    row: ProductRow | None = None
    rejection: Rejection | None = None
    collapsed_into: str = ""
    branches: tuple[BranchVerdict, ...] = ()
    placed: Result | None = None
    """Where it stands, or would, with its score; None = it was not scored."""
    last_shown: Result | None = None
    degradations: tuple[Degradation, ...] = ()
    versions: Versions | None = None
