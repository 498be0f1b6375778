"""What the gateway asks of searches, and what they find."""

from collections.abc import Mapping, Sequence
from dataclasses import field

from sightline_core.columns import ProductColumns
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import ProductRow, Vector
from sightline_core.versions import Freshness, SpaceVersion
from sightline_rules.frozen import dataclass


@dataclass(frozen=True, slots=True)
class VectorBlend:
    """Vectors and products of one space that the retriever combines into one query."""

    space: str
    parts: tuple[tuple[float, Vector | str], ...]
    """Parts with their weights, negative to move away; a text is a product's id."""


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
