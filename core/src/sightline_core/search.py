"""What the gateway asks of searches and listings, and what they find."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from sightline_core.columns import ProductColumns, Stamp
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import Facet, FacetRequest, ProductRow, Vector
from sightline_core.versions import Freshness, SpaceVersion
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class VectorBlend:
    """Vectors and products of one space that the retriever combines into one query."""

    space: str
    parts: tuple[tuple[float, Vector | str], ...]
    """Parts with their weights, negative to move away; a text is a product's id."""


@fast_dataclass(frozen=True, slots=True)
class UsedSynonym:
    """Part of a text, and what the catalog's synonyms name for it."""

    typed: str
    """Folded to lower case without accents."""
    term: str


@fast_dataclass(frozen=True, slots=True)
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


@fast_dataclass(frozen=True, slots=True)
class Rejection:
    """Why a product does not pass a filter."""

    product_id: str = ""
    path: str = ""
    """Path within the caller's filter; empty if the condition is not the caller's."""
    condition: str = ""
    """The condition that fails, in words."""
    held: tuple[str, ...] = ()
    """The product's values of its fields."""


@fast_dataclass(frozen=True, slots=True)
class CheckedProducts:
    """Products that may be in the answer, and why others may not."""

    columns: ProductColumns
    missing: frozenset[str]
    """Products that are not in the catalog."""
    rejections: Mapping[str, Rejection]


@fast_dataclass(frozen=True, slots=True)
class ProductRows:
    """Products as currently stored, and titles of others."""

    rows: tuple[ProductRow, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    """By product id; unavailable titles are missing."""
    stamp: Stamp | None = None
    """None: unknown, as of products of a snapshot."""
    newest: int = 0
    """The newest commit that wrote one of the products."""

    def is_of(self, stamp: Stamp | None, asked: int) -> bool:
        """Return whether these of `asked` products are as they were at an earlier stamp; one that
        is unknown is not compared."""
        if stamp is None or self.stamp is None:
            return True
        return stamp.holds(self.stamp, self.newest, missing=len(self.rows) < asked)


class Carried(Protocol):
    """A filter of a caller, as its message."""

    @property
    def message(self) -> object:
        """The message, which is not changed."""


RANKED = "RANKED"


@fast_dataclass(frozen=True, slots=True, eq=False)
class ListingRequest:
    """Request for a page of all products that pass; no two requests are equal."""

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
    last: Sequence[Carried] = ()
    """Products that pass one of these follow after all others."""
    last_ids: Sequence[str] = ()
    """Products that follow after all others too."""
    facets: Sequence[FacetRequest] = ()
    known_state: str = ""
    costs: bool = False
    """True if the columns need the products' costs, which the rows never have."""


@fast_dataclass(frozen=True, slots=True)
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


@fast_dataclass(frozen=True, slots=True)
class SuggestedText:
    """A text that the catalog suggests."""

    text: str
    marks: Sequence[tuple[int, int]]
    """Parts that were typed, from and before, in code points."""
    count: int = 0
    """Number of products; 0 for a product."""
    field: str = ""
    """Name of a facet value's field; empty for other suggestions."""
    filter: object = None
    """Message of the filter for a facet value's products; None for other suggestions."""
    filter_text: str = ""
    product_id: str = ""


@fast_dataclass(frozen=True, slots=True)
class CatalogSuggestions:
    """Suggestions of a catalog, by kind, each best first."""

    completions: Sequence[SuggestedText] = ()
    facet_values: Sequence[SuggestedText] = ()
    products: Sequence[SuggestedText] = ()
    corrected: bool = False
    """True if nothing matched the words as they were typed."""

    def __bool__(self) -> bool:
        return bool(self.completions or self.facet_values or self.products)
