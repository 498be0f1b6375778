"""Products, and conditions on their fields.

Made from the table of fields by client/generator: change that and run ``make proto``.
"""

from datetime import datetime

from sightline_client.values.catalog import Availability, Product, Sort
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.filters import (
    ATTRIBUTES,
    AttributeField,
    ComparedField,
    OrderedField,
    SearchedField,
    TextField,
)
from sightline_client.values.money import Money

__all__ = ["FACETED", "FIELDS", "FILTERED", "WRITTEN", "F", "Product", "Sort"]


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
