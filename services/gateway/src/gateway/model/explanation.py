"""Position of a product in the answer to a request, with the explanation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.controls import ActiveControl, ControlOutcomes, ControlState
from gateway.model.peers import ReadLabel
from sightline_core.answer import AnswerResult
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import ProductRow
from sightline_core.reasons import MoveCause
from sightline_core.search import Rejection
from sightline_core.versions import Versions
from sightline_rules.controls import ControlKind


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
class ProductControl:
    """A control that selects the product."""

    given: ActiveControl
    state: ControlState
    """APPLIED, or why it does not apply to the request."""
    exposures: int = 0
    """Today's answers in which it had an effect; 0 without a daily budget."""


@dataclass(frozen=True, slots=True)
class PlaceCap:
    """A limit of products of one brand or category among the first places."""

    cause: MoveCause
    """BRAND_CAP or CATEGORY_CAP."""
    value: str
    """The product's brand, or its category, as a written path."""
    limit: int
    places: int
    """Number of first places that it applies to."""
    reached: int
    """Number of products of this brand or category in these places."""


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
    controls: tuple[ProductControl, ...] = ()
    """Controls that select the product, those of the request first."""
    caps: tuple[PlaceCap, ...] = ()
    """Limits of the scene that concern the product."""
    other_categories: tuple[str, ...] = ()
    """Categories that the scene excludes, of which the product is in one or below."""

    @property
    def excluding(self) -> tuple[str, ...]:
        """The names of the controls that exclude the product."""
        applied = (each for each in self.controls if each.state is ControlState.APPLIED)
        rules = (each.given.control for each in applied)
        return tuple(rule.name for rule in rules if rule.kind is ControlKind.EXCLUDE)
