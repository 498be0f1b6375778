"""Where a product is in the answer to a request, and why."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.model.answer import Result
from gateway.model.messages import BranchVerdict, Degradation, ProductRow, Rejection, Versions


class Outcome(StrEnum):
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
class Explanation:
    """Where a product is, and why."""

    outcome: Outcome
    row: ProductRow | None = None
    rejection: Rejection | None = None
    collapsed_into: str = ""
    branches: tuple[BranchVerdict, ...] = ()
    placed: Result | None = None
    """Where it is, or would be, with its score; None = it was not scored."""
    last_shown: Result | None = None
    degradations: tuple[Degradation, ...] = ()
    versions: Versions | None = None
