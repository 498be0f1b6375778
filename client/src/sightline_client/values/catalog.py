"""Parts of products, and outcomes of writes, as plain values."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from sightline_client.errors import SightlineError


class Availability(StrEnum):
    """Availability for purchase."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not given; the catalog stores it as IN_STOCK."""
    IN_STOCK = "IN_STOCK"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PREORDER = "PREORDER"
    BACKORDER = "BACKORDER"


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount of money."""

    amount: Decimal
    """Units of the currency, e.g. Decimal("12.50"); at most six decimals."""
    currency: str
    """ISO 4217 code, e.g. "EUR"."""

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"


def money(amount: int | str | Decimal, currency: str) -> Money:
    """Return ``money("12.50", "EUR")``. TypeError for a float, which is not exact in binary."""
    if isinstance(amount, float):
        raise TypeError(f'write money("{amount}", "{currency}"): a float is not an exact amount')
    return Money(Decimal(amount), currency)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One typed, named property, e.g. ``Attribute("country", "Italy")``."""

    key: str
    """1 to 64 characters of [a-z0-9_.-]. Only a text may repeat: a wine has several grapes."""
    value: str | float | bool


@dataclass(frozen=True, slots=True)
class MarketValues:
    """Values of a product in one market, in place of its own."""

    market_id: str
    """The shop's own id, such as "de" or "ch-fr": 1 to 16 characters of [a-z0-9-]."""
    price: Money | None = None
    """`None` = the product's own."""
    availability: Availability = Availability.UNSPECIFIED
    """UNSPECIFIED = the product's own."""
    title: str = ""
    """Empty = the product's own; so are the texts below."""
    description: str = ""
    language: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class ProductImage:
    """One photo. On a write give ``content``, ``uri``, or the ``image_id`` of one already stored.

    ``sightline_client.product_image`` makes one of a file, a Pillow image or an array.
    """

    content: bytes = field(default=b"", repr=False)
    """The file as it is, at most 10 MiB. Empty in a product that was read."""
    image_id: str = ""
    """Lower-case hexadecimal SHA-256 of the photo's bytes. Set by the service."""
    media_type: str = ""
    """E.g. "image/jpeg". Set by the service."""
    width: int = 0
    """Pixels, as shown. Set by the service."""
    height: int = 0
    """Pixels, as shown. Set by the service."""
    uri: str = ""
    """Where the service fetches the photo from, http or https. Empty in a product that was read."""


@dataclass(frozen=True, slots=True)
class CategoryGuess:
    """A category that a photo may show, with its probability."""

    category_path: tuple[str, ...]
    """Levels, topmost first."""
    probability: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class CategoryDoubt:
    """A photo that contradicts its product's category."""

    image_id: str
    probability: float
    """Upper bound of the probability that the photo shows that category, 0 to 1."""
    instead: CategoryGuess | None
    """The category that it more likely shows; `None` if it resembles none of the catalog's
    categories."""
    space_version: str
    """Fitted space whose head classified the photo."""


class ProductOrder(StrEnum):
    """The order of a list of products."""

    PRODUCT_ID = "PRODUCT_ID"
    """By id, ascending by code point."""
    NEWEST = "NEWEST"
    """Newest first."""


@dataclass(frozen=True, slots=True)
class UpsertOutcome:
    """Outcome of one product of a batch."""

    product_id: str
    etag: str = ""
    """Etag of the stored product; "" if it was rejected."""
    image_ids: tuple[str, ...] = ()
    """Ids of its photos, in order."""
    error: SightlineError | None = None
    """Why it was rejected; None = stored."""


@dataclass(frozen=True, slots=True)
class UpsertBatch:
    """Outcomes of one batch, yielded as soon as it is durable."""

    outcomes: tuple[UpsertOutcome, ...]
    """One for each product, in order."""
    index_token: str
    """A search with it as ``min_index_token`` sees this batch and those before; "" if not stored.
    """
    done: int
    """Number of products done so far, including this batch."""


@dataclass(frozen=True, slots=True)
class UpsertReport:
    """Outcomes of all products."""

    stored_count: int
    failures: tuple[UpsertOutcome, ...]
    """The rejected ones, each with its error."""
    index_token: str
    """A search with it as ``min_index_token`` sees every stored one."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Result of a deletion."""

    deleted_count: int
    """Number of ids that existed and were deleted."""
    index_token: str
    """A search with it as ``min_index_token`` no longer sees them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Price and availability of one product."""

    product_id: str
    price: Money | None = None
    """`None` keeps the price."""
    availability: Availability = Availability.UNSPECIFIED
    """UNSPECIFIED keeps the availability."""


@dataclass(frozen=True, slots=True)
class OfferFailure:
    """An offer that was rejected."""

    product_id: str
    error: SightlineError


@dataclass(frozen=True, slots=True)
class OfferBatch:
    """Outcomes of one batch of offers, yielded as soon as it is durable."""

    stored_count: int
    failures: tuple[OfferFailure, ...]
    index_token: str
    """A search with it as ``min_index_token`` sees this batch and those before; "" if not stored.
    """
    done: int
    """Number of offers done so far, including this batch."""


@dataclass(frozen=True, slots=True)
class OfferReport:
    """Outcomes of all offers."""

    stored_count: int
    failures: tuple[OfferFailure, ...]
    index_token: str


class ImportMode(StrEnum):
    """What an import does with products that it does not contain."""

    INCREMENTAL = "INCREMENTAL"
    """Keeps them."""
    FULL = "FULL"
    """Deletes them when the import is closed: afterwards the catalog holds exactly the import's
    products."""


@dataclass(frozen=True, slots=True)
class ImportState:
    """Progress of an import."""

    import_id: str
    mode: ImportMode
    rows_done: int
    """Rows 1 to this one are done: continue with the next."""
    stored_count: int
    refused_count: int
    closed: bool
    """True if the import is closed and accepts no more rows."""


@dataclass(frozen=True, slots=True)
class RowFailure:
    """A row of an import that was rejected."""

    row_number: int
    product_id: str
    error: SightlineError


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """Outcomes of some rows, yielded in the order of the rows as soon as they are durable."""

    last_row: int
    """Number of the last of them."""
    stored_count: int
    failures: tuple[RowFailure, ...]
    index_token: str
    """A search with it as ``min_index_token`` sees these rows; "" if none was stored."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Outcomes of the rows that were sent this time."""

    stored_count: int
    failures: tuple[RowFailure, ...]
    index_token: str


@dataclass(frozen=True, slots=True)
class PhotoMisfit:
    """A photo that is nearer to another product's photos than to those of its own product."""

    product_id: str
    image_id: str
    similarity: float
    """Cosine to the nearest other photo of its product, −1 to 1."""
    other_product_id: str
    """The other product, which is no variant of the product."""
    other_image_id: str
    other_similarity: float
    """Cosine to that product's nearest photo, −1 to 1."""
    lead: float
    """``other_similarity`` − ``similarity``: the greater, the surer."""
