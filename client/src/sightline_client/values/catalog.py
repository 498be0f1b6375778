"""Products and their parts, and outcomes of writes, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.money import Money


class Availability(StrEnum):
    """Whether a product can be bought now."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not set, or a value that this client is too old to know."""
    IN_STOCK = "IN_STOCK"
    """Can be bought and shipped now."""
    OUT_OF_STOCK = "OUT_OF_STOCK"
    """Can't be bought now, but may come back."""
    PREORDER = "PREORDER"
    """Can be ordered before it is in stock."""
    BACKORDER = "BACKORDER"
    """Can be ordered, and ships later."""


@dataclass(frozen=True, slots=True)
class CategoryGuess:
    """A category that a photo may show, with its probability."""

    category_path: tuple[str, ...]
    """Levels of the category, topmost first, e.g. ["Fruit", "Apple"]."""
    probability: float
    """Probability that the photo shows this category or one below it, 0 to 1, calibrated on photos
    of the catalog that the classifier was not trained on."""


class ProductOrder(StrEnum):
    """Order of a list."""

    PRODUCT_ID = "PRODUCT_ID"
    """By product id, in ascending order of code points."""
    NEWEST = "NEWEST"
    """Newest first."""


class Sort(StrEnum):
    """Order of products. In Search all orders except NEAREST reorder the nearest 100 products, or
    the products of five pages if these are more; products farther away are not included. In List
    all products that pass are ordered."""

    NEAREST = "NEAREST"
    """Nearest first."""
    PRICE_RISING = "PRICE_RISING"
    """Cheapest first, among prices in the currency that most of these products have. All other
    products follow, nearest first."""
    PRICE_FALLING = "PRICE_FALLING"
    """Most expensive first, otherwise as PRICE_RISING."""
    NEWEST = "NEWEST"
    """Most recently created first."""
    BRAND = "BRAND"
    """By brand, A to Z. Products without a brand come last."""
    RATING = "RATING"
    """Best rated first. Products without a rating come last."""
    POPULARITY = "POPULARITY"
    """List only: by the events of shoppers, most popular first. The 1,000 most popular products of
    the catalog are known; the others follow, newest first."""
    RELEVANCE = "RELEVANCE"
    """List with ``text`` only: by the match of the text's words, best first: words count by how
    rare they are in the catalog, and more in titles than in other fields. Equal matches: the most
    popular first."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Result of a deletion."""

    deleted_count: int
    """Number of products that existed and were deleted."""
    index_token: str
    """Opaque token of this write; see UpsertProductsResponse."""


class ImportMode(StrEnum):
    """How an import treats products that it does not contain."""

    INCREMENTAL = "INCREMENTAL"
    """Keeps them."""
    FULL = "FULL"
    """Deletes them when the import is closed: afterwards the catalog holds exactly the import's
    products."""


@dataclass(frozen=True, slots=True)
class PhotoMisfit:
    """A photo that is nearer to photos of another product than to those of its own product."""

    product_id: str
    image_id: str
    """Id of the photo."""
    similarity: float
    """Similarity to the nearest other photo of its product: cosine, −1 to 1."""
    other_product_id: str
    """The other product, which is no variant of the product."""
    other_image_id: str
    """Id of that product's nearest photo."""
    other_similarity: float
    """Similarity to that photo: cosine, −1 to 1."""
    lead: float
    """``other_similarity`` − ``similarity``: greater than 0, at most 2. The greater, the surer."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A typed, named property of a product, e.g. ``Attribute("country", "Italy")``."""

    key: str
    """Name, 1 to 64 characters of [a-z0-9_.-]. Unique within the product, except that a key may
    have several texts (a wine has several grapes)."""
    value: str | float | bool
    """the text, number or flag."""


@dataclass(frozen=True, slots=True)
class ProductImage:
    """A photo of a product. A write gives ``content``, ``uri``, or the ``image_id`` of a photo that
    the catalog already holds. An ``image_id`` that is given with ``content`` or ``uri`` must match
    the photo. A read returns no ``content``; ``get_image`` does."""

    content: bytes = field(default=b"", repr=False)
    """The file: JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP, detected from its bytes, at most 10
    MiB and 50 megapixels. It is stored without metadata (EXIF with place, time and camera, XMP,
    IPTC, comments); the picture stays as it is. If the file has several frames or pages, the first
    is used. Write only."""
    image_id: str = ""
    """Lower-case hexadecimal SHA-256 of the photo's bytes as stored, which is without metadata (64
    characters). Set by the service. If given with ``content`` or ``uri``: of the bytes as stored or
    as sent."""
    media_type: str = ""
    """Media type, detected from the bytes: "image/jpeg", "image/png", "image/webp", "image/gif",
    "image/avif", "image/heic", "image/tiff" or "image/bmp". Read only."""
    width: int = 0
    """Width in pixels after the EXIF orientation is applied. Read only."""
    height: int = 0
    """Height in pixels after the EXIF orientation is applied. Read only."""
    uri: str = ""
    """Address from which the service fetches the photo instead of ``content``: http or https, at
    most 2,048 characters. Rejected with URI_FORBIDDEN unless the settings allow its scheme and host
    and the address is public, and with URI_UNREADABLE if the fetch fails. Fetched once, during the
    write, and stored. Write only."""


@dataclass(frozen=True, slots=True)
class UpsertOutcome:
    """Result of writing one product."""

    product_id: str
    """Id of the product, as given."""
    etag: str = ""
    """Etag of the stored product. Empty unless stored."""
    image_ids: tuple[str, ...] = ()
    """Ids of its photos, in order. Empty unless stored."""
    error: SightlineError | None = None
    """Code 0 if stored. Otherwise the error, with an ErrorInfo and, for invalid fields, a
    BadRequest."""


@dataclass(frozen=True, slots=True)
class DistinctPair:
    """Two products of the same picture that are different ones, as decided."""

    product_id: str
    """Id of one product, the first of the two in the order of code points."""
    other_product_id: str
    author: str
    """Caller who decided it. Empty if it was not authenticated."""
    create_time: datetime | None
    """When it was decided (UTC)."""


@dataclass(frozen=True, slots=True)
class CategoryDoubt:
    """A photo that contradicts its product's category."""

    image_id: str
    """Id of the photo."""
    probability: float
    """Upper bound of the probability that the photo shows the product's category or one below it, 0
    to 1."""
    instead: CategoryGuess | None
    """The category that the photo more likely shows. None if it resembles none of the catalog's
    categories."""
    space_version: str
    """Fitted space whose head classified the photo."""


@dataclass(frozen=True, slots=True)
class ImportState:
    """Progress of an import."""

    import_id: str
    """Id of the import, chosen by the caller: 1 to 128 bytes. Opening the same id again resumes the
    import."""
    mode: ImportMode
    """what happens to products that the import does not contain."""
    rows_done: int
    """Rows 1 to this one are done (each stored or rejected); continue with the next row. 0 if none
    is done yet."""
    stored_count: int
    """Number of rows stored."""
    refused_count: int
    """Number of rows rejected."""
    closed: bool
    """True if the import is closed and accepts no more rows."""


@dataclass(frozen=True, slots=True)
class MarketValues:
    """Values of a product in one market. Unset values are the product's own."""

    market_id: str
    """The shop's own id of the market, e.g. "de" or "ch-fr": 1 to 16 characters of [a-z0-9-]. A
    catalog has at most 64 markets."""
    price: Money | None = None
    """Price of one unit, as Product.price."""
    availability: Availability = Availability.UNSPECIFIED
    """Whether the product can be bought there. UNSPECIFIED: the product's own."""
    title: str = ""
    """Name as shown to shoppers of the market, up to 512 characters."""
    description: str = ""
    """Longer text, up to 16,384 characters."""
    language: str = ""
    """BCP 47 language of title and description, e.g. "de"."""
    uri: str = ""
    """Address of the product's page for the market (http or https), up to 2,048 characters."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Price and availability of one product."""

    product_id: str
    price: Money | None = None
    """New price; None keeps the price."""
    availability: Availability = Availability.UNSPECIFIED
    """New availability. If UNSPECIFIED, the availability is kept."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of a catalog."""

    product_id: str
    """The shop's own id: opaque UTF-8 in NFC, 1 to 128 bytes, no control characters."""
    title: str
    """Name as shown to shoppers, 1 to 512 characters."""
    parent_id: str = ""
    """Id of the product of which this one is a variant (a size, a colour). Empty if none."""
    description: str = ""
    """Longer text, up to 16,384 characters. Empty if none."""
    category_path: tuple[str, ...] = ()
    """Category from the topmost level down, e.g. ["Wine", "Red"]: at most 8 levels of 1 to 128
    characters without '>'. Empty if uncategorised."""
    brand: str = ""
    """Brand or maker, up to 256 characters. Empty if unknown."""
    price: Money | None = None
    """Price of one unit, not negative, at most six decimals. None if unknown. A product without a
    price passes no filter on price."""
    availability: Availability = Availability.UNSPECIFIED
    """Whether the product can be bought. Default on a write: IN_STOCK."""
    tags: tuple[str, ...] = ()
    """Free labels, at most 64, each of 1 to 128 characters, no duplicates."""
    attributes: tuple[Attribute, ...] = ()
    """Typed properties, at most 128."""
    images: tuple[ProductImage, ...] = ()
    """Photos, best first, at most 20."""
    language: str = ""
    """BCP 47 language of title and description, e.g. "en" or "zh-Hans". Empty if unknown."""
    uri: str = ""
    """Address of the product's page in the shop (http or https), up to 2,048 characters. Empty if
    none."""
    create_time: datetime | None = None
    """When the catalog first stored the product (UTC). Read only."""
    update_time: datetime | None = None
    """When the product last changed (UTC). Read only."""
    etag: str = ""
    """Opaque version of this content. A write with an etag is rejected (ABORTED, ETAG_MISMATCH) if
    the stored product has another etag. A repeated write succeeds: the etag is not compared if the
    stored product already equals the written one. If empty, the write is unconditional."""
    category_doubt: CategoryDoubt | None = None
    """Evidence that the category is wrong. None if the photos agree with the category or were not
    classified. Found after the write, when a fitted space with a classification head embeds a
    photo. Read only."""
    rating: float | None = None
    """Mean rating by shoppers, 0 to 5 with at most one decimal. None if unknown. A product without
    a rating passes no filter on it."""
    rating_count: int | None = None
    """Number of ratings behind ``rating``, not negative. None if unknown."""
    stock: int | None = None
    """Units in stock, not negative. None if unknown. Does not affect ``availability``, which says
    whether the product can be bought."""
    cost: Money | None = None
    """Cost of one unit to the shop, not negative, at most six decimals. None if unknown or not
    readable. Used in scores; never part of an answer. Only callers with the role ``operate`` can
    read it. A write of the whole product without it removes it."""
    markets: tuple[MarketValues, ...] = ()
    """Values by market, such as a country, at most 64, each ``market_id`` once. A market's values
    replace the product's own in requests with its ``market_id`` (see Filter). A product with a list
    is not sold in markets that the list lacks; a product without a list is sold in all markets with
    its own values. Answers of RecommendationService, and reads with a ``market_id``, have no list.
    """
