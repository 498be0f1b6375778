"""Products of a catalog: as given by callers, as stored in the record, and their changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from sightline_rules import categories, kinds
from sightline_rules.facts import Facts, by_key
from sightline_rules.fields import FILTERED, Field
from sightline_rules.filters import Availability, Filter, Money, Time
from sightline_rules.markets import MarketList

MAX_PHOTOS = 20
"""Maximum number of photos of a product; each is a row of an index."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One typed, named property of a product."""

    key: str
    value: str | float | bool


@dataclass(frozen=True, slots=True)
class Amount:
    """Money as a caller gave it, unchecked: units + nanos / 10^9."""

    currency: str
    units: int
    nanos: int


class MarketDraft(NamedTuple):
    """A product's values in a market as a caller gave them, unchecked."""

    market_id: str
    price: Amount | None = None
    availability: Availability | None = None
    """None: the product's own."""
    availability_known: bool = True
    """True if the given number is a known availability, or none was given."""
    title: str = ""
    description: str = ""
    language_code: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class ImageDraft:
    """A photo as a caller gave it: bytes, the id of a stored one, or where to fetch it from."""

    content: bytes
    image_id: str
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Takedown:
    """A photo that may not be stored."""

    image_id: str
    reason: str
    """As given by the caller; may be empty."""
    create_time: int
    """Microseconds since 1970 (UTC)."""


class ProductDraft(NamedTuple):
    """A product as a caller gave it, unchecked. A dataclass would take three times as long."""

    product_id: str = ""
    parent_id: str = ""
    title: str = ""
    description: str = ""
    category_path: tuple[str, ...] = ()
    brand: str = ""
    price: Amount | None = None
    availability: Availability | None = Availability.IN_STOCK
    """`None` if the given number is unknown."""
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str | float | bool | None], ...] = ()
    """Key and value, `None` if no value was given."""
    rating: float | None = None
    rating_count: float | None = None
    stock: float | None = None
    cost: Amount | None = None
    markets: tuple[MarketDraft, ...] = ()
    images: tuple[ImageDraft, ...] = ()
    language_code: str = ""
    uri: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ProductContent:
    """A product's content, checked. Its photos are given by their ids."""

    product_id: str
    title: str
    parent_id: str = ""
    description: str = ""
    category_path: tuple[str, ...] = ()
    brand: str = ""
    price: Money | None = None
    availability: Availability = Availability.IN_STOCK
    tags: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    rating: float | None = None
    """0 to 5, one decimal. `None` if unknown."""
    rating_count: float | None = None
    """Whole number. `None` if unknown."""
    stock: float | None = None
    """Units, a whole number. `None` if unknown."""
    cost: Money | None = None
    """`None` if unknown. Only operators read it."""
    markets: MarketList = ()
    """Sorted by id; empty: the product is sold in all markets."""
    image_ids: tuple[str, ...] = ()
    """Best first, no duplicates."""
    language_code: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A stored photo."""

    image_id: str
    """Lower-case hexadecimal SHA-256 of its bytes."""
    media_type: str
    size: int
    """Bytes."""
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    perceptual_hash: int = 0
    """See sightline_rules.duplicates. 0 without a hash, or before it is computed."""


@dataclass(frozen=True)
class Product:
    """A product as the record holds it."""

    content: ProductContent
    images: tuple[Image, ...]
    create_time: int
    """Microseconds since 1970 (UTC)."""
    update_time: int
    """Microseconds since 1970 (UTC)."""
    etag: str
    seq: int
    """Commit sequence of its last write."""

    @cached_property
    def facts(self) -> Facts:
        """Values that filters are evaluated on."""
        return Facts(**{field.name: self._fact(field) for field in FILTERED})

    def _fact(self, field: Field) -> Any:
        value = getattr(self.content if field.written else self, field.wire)
        match field.kind:
            case kinds.CategoryKind():
                return categories.join(value)
            case kinds.TextsKind():
                return frozenset(value)
            case kinds.AttributesKind():
                return by_key((item.key, item.value) for item in value)
            case kinds.TimeKind():
                return Time(value)
            case _:
                return value


@dataclass(frozen=True, slots=True)
class ProductWrite:
    """A product to write."""

    content: ProductContent
    new_images: Mapping[str, Image]
    """Photos whose bytes are in the request, by id; the others must be stored already."""
    etag: str = ""
    """Etag that the stored content must have; empty: any."""
    path: str = "product"
    """Its path in the request, for field violations."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A committed write."""

    product_id: str
    etag: str
    image_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProductChange:
    """A product to change in part."""

    content: ProductContent
    """Its id, and the new values of `fields`; other fields are ignored."""
    fields: frozenset[str]
    """Names of fields of ProductContent."""
    new_images: Mapping[str, Image]
    """As in ProductWrite."""
    etag: str = ""
    """Etag that the stored content must have; empty: any."""
    path: str = "product"
    """Its path in the request, for field violations."""


@dataclass(frozen=True, slots=True)
class OfferDraft:
    """Price and availability as a caller gave them, unchecked."""

    product_id: str
    price: Amount | None = None
    """None: unchanged."""
    availability: Availability | None = None
    """None: unchanged."""
    availability_known: bool = True
    """True if the given number is a known availability."""
    market_id: str = ""
    """Empty: the product's own values."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Price and availability to set."""

    product_id: str
    price: Money | None
    """None: unchanged."""
    availability: Availability | None
    """None: unchanged."""
    market_id: str = ""
    """Market whose values are set; empty: the product's own."""


@dataclass(frozen=True, slots=True)
class CatalogPart:
    """Products that were last written whole before a commit and pass a filter."""

    condition: Filter
    before: int
    """The commit."""
    after: tuple[int, str] | None
    """Position to continue at. `None`: the beginning."""
    limit: int
    """Maximum number of products to examine."""


@dataclass(frozen=True, slots=True)
class PartTally:
    """Result of examining a part of the catalog."""

    product_ids: tuple[str, ...]
    """Ids of the products that pass."""
    after: tuple[int, str] | None
    """Position to continue at. `None` at the end."""


class ProductOrder(StrEnum):
    """Sort order of a list."""

    PRODUCT_ID = "product_id"
    NEWEST = "newest"


class ProductFlaw(StrEnum):
    """Flaw of a product, by which lists select."""

    DOUBTED = "doubted"
    """A photo contradicts the category."""
    WITHOUT_PHOTO = "without photo"
