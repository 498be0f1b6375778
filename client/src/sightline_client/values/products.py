"""Products, and conditions on their fields.

Made from the table of fields by client/generate_fields.py: change that and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.catalog import (
    Attribute,
    Availability,
    CategoryDoubt,
    MarketValues,
    Money,
    ProductImage,
)
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.filters import (
    ATTRIBUTES,
    AttributeField,
    ComparedField,
    OrderedField,
    SearchedField,
    TextField,
)


@dataclass(frozen=True, slots=True)
class Product:
    """A thing a shop sells. Only ``product_id`` and ``title`` are needed to write one."""

    product_id: str
    """The shop's own id: 1 to 128 bytes."""
    title: str
    """Name as shown to shoppers."""
    parent_id: str = ""
    """Product that this one is a variant of. "" = none."""
    description: str = ""
    """Longer text for shoppers. "" = none."""
    category_path: tuple[str, ...] = ()
    """Category path from the root down. E.g. ("Wine", "Red")."""
    brand: str = ""
    """Brand or maker. "" = none."""
    price: Money | None = None
    """Price of one unit. None = unknown."""
    availability: Availability = Availability.UNSPECIFIED
    """Availability for purchase."""
    tags: tuple[str, ...] = ()
    """Free labels."""
    attributes: tuple[Attribute, ...] = ()
    """Typed properties by key; filters name one as attributes.<key>."""
    images: tuple[ProductImage, ...] = ()
    """Best first, at most 20."""
    language: str = ""
    """BCP 47 code of title and description. "" = none."""
    uri: str = ""
    """The shop's page of the product. "" = none."""
    create_time: datetime | None = None
    """Time when the catalog first stored the product (UTC). Set by the service."""
    update_time: datetime | None = None
    """Time of the product's last change (UTC). Set by the service."""
    etag: str = ""
    """Mark of this content. A write that gives it is rejected unless it is still current."""
    category_doubt: CategoryDoubt | None = None
    """Photo that contradicts the category; None: none does, or none was checked. Set by the
    service."""
    rating: float | None = None
    """Mean rating by shoppers, 0 to 5 with one decimal. None = unknown."""
    rating_count: int | None = None
    """Number of ratings. None = unknown."""
    stock: int | None = None
    """Units in stock. None = unknown."""
    cost: Money | None = None
    """Cost of one unit to the shop, for scores alone. None = unknown. No answer has it."""
    markets: tuple[MarketValues, ...] = ()
    """Values by market; filters ask where a product is sold. () = sold in all markets."""


class F:
    """The fields that a filter can use."""

    category = TextField("category")
    """Category path from the root down. Levels joined by " > ", such as "Wine > Red": the category
    and all below it."""
    brand = TextField("brand")
    """Brand or maker."""
    title = SearchedField("title")
    """Name as shown to shoppers."""
    price = OrderedField[Money]("price")
    """Price of one unit. Only amounts in the same currency pass."""
    availability = ComparedField[Availability]("availability")
    """Availability for purchase."""
    tags = TextField("tags")
    """Free labels. ``==`` and ``contains``: one of the texts is equal."""
    rating = OrderedField[float]("rating")
    """Mean rating by shoppers, 0 to 5 with one decimal."""
    rating_count = OrderedField[float]("rating_count")
    """Number of ratings."""
    stock = OrderedField[float]("stock")
    """Units in stock."""
    market = ComparedField[str]("market")
    """Values by market; filters ask where a product is sold. ``F.market == "de"`` passes products
    that are sold there."""
    create_time = OrderedField[datetime]("create_time")
    """Time when the catalog first stored the product (UTC)."""
    update_time = OrderedField[datetime]("update_time")
    """Time of the product's last change (UTC)."""

    @staticmethod
    def attribute(key: str) -> AttributeField:
        """Return an attribute's field: ``F.attribute("vintage") >= 2015``."""
        return AttributeField(f"{ATTRIBUTES}{key}")


class Sort(StrEnum):
    """Order of the nearest products of a search."""

    NEAREST = "NEAREST"
    PRICE_RISING = "PRICE_RISING"
    PRICE_FALLING = "PRICE_FALLING"
    NEWEST = "NEWEST"
    BRAND = "BRAND"
    RATING = "RATING"
    POPULARITY = "POPULARITY"
    RELEVANCE = "RELEVANCE"


FIELDS: tuple[ProductField, ...] = (
    ProductField(
        name="parent_id",
        kind=FieldKind.TEXT,
        attribute="parent_id",
        wire="parent_id",
        column="parent_id",
    ),
    ProductField(
        name="category",
        kind=FieldKind.CATEGORY,
        attribute="category_path",
        wire="category_path",
        column="category",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="brand",
        kind=FieldKind.TEXT,
        attribute="brand",
        wire="brand",
        column="brand",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="title",
        kind=FieldKind.WORDS,
        attribute="title",
        wire="title",
        column="title",
        required=True,
        filtered=True,
    ),
    ProductField(
        name="description",
        kind=FieldKind.TEXT,
        attribute="description",
        wire="description",
        column="description",
    ),
    ProductField(
        name="price",
        kind=FieldKind.MONEY,
        attribute="price",
        wire="price",
        column="price",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="availability",
        kind=FieldKind.AVAILABILITY,
        attribute="availability",
        wire="availability",
        column="available",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="tags",
        kind=FieldKind.TEXTS,
        attribute="tags",
        wire="tags",
        column="tags",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="attributes",
        kind=FieldKind.ATTRIBUTES,
        attribute="attributes",
        wire="attributes",
        column="attributes",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="rating",
        kind=FieldKind.NUMBER,
        attribute="rating",
        wire="rating",
        column="rating",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="rating_count",
        kind=FieldKind.NUMBER,
        attribute="rating_count",
        wire="rating_count",
        column="rating_count",
        filtered=True,
        faceted=True,
    ),
    ProductField(
        name="stock",
        kind=FieldKind.NUMBER,
        attribute="stock",
        wire="stock",
        column="stock",
        filtered=True,
        faceted=True,
    ),
    ProductField(name="cost", kind=FieldKind.MONEY, attribute="cost", wire="cost", column="cost"),
    ProductField(
        name="language_code",
        kind=FieldKind.TEXT,
        attribute="language",
        wire="language_code",
        column="language",
    ),
    ProductField(name="uri", kind=FieldKind.TEXT, attribute="uri", wire="uri", column="uri"),
    ProductField(
        name="market",
        kind=FieldKind.MARKETS,
        attribute="markets",
        wire="markets",
        column="markets",
        filtered=True,
    ),
    ProductField(
        name="create_time",
        kind=FieldKind.TIME,
        attribute="create_time",
        wire="create_time",
        column="create_time",
        filtered=True,
        written=False,
    ),
    ProductField(
        name="update_time",
        kind=FieldKind.TIME,
        attribute="update_time",
        wire="update_time",
        column="update_time",
        filtered=True,
        written=False,
    ),
)
"""All fields beside the id, the photos, the etag and the category doubt."""
FILTERED = tuple(field for field in FIELDS if field.filtered)
FACETED = tuple(field for field in FIELDS if field.faceted)
WRITTEN = tuple(field for field in FIELDS if field.written)
