"""Explanations of a product's rank in an answer, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sightline_client.values.answers import (
    Degradation,
    Move,
    MoveCause,
    Reason,
    ScorePart,
    Versions,
)
from sightline_client.values.catalog import Product
from sightline_client.values.controls import ControlKind, ControlOutcome, ControlResult
from sightline_client.values.signals import LabelLine


class ProductOutcome(StrEnum):
    """Result for the product: the first of these that applies."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    SHOWN = "SHOWN"
    """The product is on the first page: see ``rank``, ``score``."""
    PRODUCT_NOT_FOUND = "PRODUCT_NOT_FOUND"
    """The product is not in the catalog."""
    EXCLUDED = "EXCLUDED"
    """The request excludes the product: by ``exclude_product_ids``, as one of its own signals, or
    as an anchor that the scene does not show."""
    FILTERED = "FILTERED"
    """The product does not pass the request's filter, or is outside the scene's categories: see
    ``rejection``."""
    UNAVAILABLE = "UNAVAILABLE"
    """The product can't be bought now, and the scene excludes such products: see ``rejection``."""
    HIDDEN = "HIDDEN"
    """The shopper hid the product."""
    SEEN = "SEEN"
    """The shopper has seen the product, and the scene excludes such products."""
    COLLAPSED = "COLLAPSED"
    """The product is a near-duplicate of ``collapsed_into_product_id`` and is, or would be,
    collapsed into it."""
    NOT_A_CANDIDATE = "NOT_A_CANDIDATE"
    """No branch found the product, or it was too far down in their lists. ``branches`` compares it
    with the last product found; ``score`` and ``rank`` show where it would be placed."""
    OUTRANKED = "OUTRANKED"
    """Other products rank higher: compare ``rank`` and ``score`` with ``last_shown``."""
    EXCLUDED_BY_CONTROL = "EXCLUDED_BY_CONTROL"
    """A control of the request or of its scene excludes the product."""


@dataclass(frozen=True, slots=True)
class FilterRejection:
    """Why a filter excludes a product."""

    path: str
    """Innermost condition that decides, e.g. "filter.all.filters[1].comparison". Empty if the scene
    sets the condition."""
    condition: str
    """That condition in the syntax of the command line: "price < 30 EUR"."""
    held: tuple[str, ...]
    """The product's values of the fields in the condition: "price: 45 EUR"."""


@dataclass(frozen=True, slots=True)
class ExplainedScore:
    """A score and its explanation."""

    product_id: str
    """Product that was scored."""
    raw_score: float
    """Sum of ``parts``."""
    parts: tuple[ScorePart, ...]
    """Parts of the raw score, split by feature."""
    score_rank: int
    """Rank by ``raw_score`` alone, from 1."""
    moves: tuple[Move, ...]
    """Why the rank differs from ``score_rank``."""
    reasons: tuple[Reason, ...]
    """Reasons, strongest first."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Heat map of a photo and a product."""

    png: bytes = field(repr=False)
    """The picture (PNG). The shopper's photo is above, the product's photo below, each as the model
    sees it: a wide crop and, if the space uses two views, a narrow one. Orange regions increase the
    similarity, blue ones decrease it; the intensity shows how much. In each photo the contributions
    of the regions sum to the similarity, less ``unplaced``."""
    similarity: float
    """Cosine of the two photos, −1 to 1."""
    unplaced: float
    """Part of the similarity that has no position in the shopper's photo, such as overall colour.
    In the unit of the similarity; may be negative."""
    image_id: str
    """Photo of the product that was compared."""
    space_version: str
    """Version of the space in which they were compared."""
    request_id: str
    """Id of this request in logs."""


@dataclass(frozen=True, slots=True)
class ProductControl:
    """A control that selects the explained product."""

    control: str
    """Name of the control: that of its entry in the scene's file."""
    scene: str
    """Scene that defines the control. Empty if the request does."""
    kind: ControlKind
    """Action."""
    outcome: ControlResult
    """APPLIED: the control applies to the request. Otherwise why it does not: UNMET, NOT_YET, ENDED
    or OUT_OF_BUDGET."""
    condition: str
    """Requests that the control applies to: "words: red; markets: de". Empty: all."""
    filter: str
    """Filter that selects products, in the syntax of the command line. Empty: it names them by
    their ids."""
    exposure_count: int
    """Number of today's first pages (UTC) on which the control had an effect, from 0. 0 without a
    daily budget."""
    daily_budget: int
    """Maximum number of these pages a day, up to 1e12. 0: no limit."""


@dataclass(frozen=True, slots=True)
class PlaceLimit:
    """A limit of products of one brand or category among the first places."""

    cause: MoveCause
    """Kind of limit: BRAND_CAP or CATEGORY_CAP."""
    value: str
    """Brand, or written path of the category ("Wine > Red")."""
    limit: int
    """Maximum number of its products, 1 to 200."""
    place_count: int
    """Number of first places that the limit applies to, 1 to 200."""
    product_count: int
    """Number of its products in these places, from 0: at ``limit``, further products are moved
    down. Products that controls pin or that have no other product after them may exceed it."""


@dataclass(frozen=True, slots=True)
class BranchVerdict:
    """Position of a product in one branch's list."""

    branch: str
    """Name of the branch; see RecommendedProduct.branches."""
    signal: int | None
    """Index of the list's signal in the request, from 0. None if the list has no signal."""
    named: bool
    """True if the list contains the product."""
    named_count: int
    """Number of products in the list."""
    similarity: float | None
    """Similarity of the product (cosine, −1 to 1), its match of words ("keywords", 0 to 1) or its
    score by a recommender (0 to 1). None if the branch has no such value, or none for the product.
    """
    last_similarity: float | None
    """The same value of the last product in the list. None if the branch has no such value."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Position of a product in the answer to a request, with the explanation."""

    outcome: ProductOutcome
    """Result for the product."""
    text: str
    """The result in a sentence, in the request's language if it is supported (English, Chinese),
    otherwise in English."""
    product: Product | None
    """The product as currently stored. None if it is not found."""
    rejection: FilterRejection | None
    """The condition that the product does not pass."""
    collapsed_into_product_id: str
    """With COLLAPSED: the product into which it is collapsed, which may be one of the request's
    signals."""
    branches: tuple[BranchVerdict, ...]
    """Lists of the branches: one for each signal, and one for the shopper."""
    rank: int
    """Rank in the whole answer, from 1; with NOT_A_CANDIDATE the rank that it would have. 0 if
    none."""
    score: ExplainedScore | None
    """Score with its parts by feature and its moves. None if the product was not scored."""
    last_shown: ExplainedScore | None
    """The last product of the first page. None if the answer is empty."""
    degradations: tuple[Degradation, ...]
    """Degradations of the answer that is explained."""
    versions: Versions
    """Versions that produced the answer that is explained."""
    request_id: str
    """Id of this request in logs."""
    labels: Mapping[int, tuple[LabelLine, ...]] = field(default_factory=dict)
    """texts read in photos, by index of the signal, if they were asked for or the scene has the
    branch ``labels``. Without lines: the photo was read and has no text."""
    unread_labels: tuple[int, ...] = ()
    """the signals whose labels were left out: too costly, too late or not readable now."""
    unsure_label_lines: Mapping[int, int] = field(default_factory=dict)
    """the numbers of lines that were found in photos and not read with confidence, by index of the
    signal: 1 to 64."""
    control_outcomes: tuple[ControlOutcome, ...] = ()
    """Controls of the request and its scene that do not apply to the request, and why. Empty if all
    apply."""
    product_controls: tuple[ProductControl, ...] = ()
    """Controls of the request, then of its scene, that select the product by its id or a filter, up
    to 100, whether they apply to the request or not: those that exclude or move it. Empty if none
    does, or the product is not found."""
    place_limits: tuple[PlaceLimit, ...] = ()
    """Limits of the scene for products of the product's brand and categories, up to 9. Empty if the
    scene has none, or the product was not ranked."""
    excluded_category_paths: tuple[str, ...] = ()
    """Categories of the request's anchors that the scene excludes (``other_categories``) and that
    the product is in or below, as written paths ("Wine > Red"). Empty if the outcome is not
    FILTERED, or another condition decides."""
