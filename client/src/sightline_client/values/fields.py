"""Description of a product's fields, as ``values.products`` lists them."""

from dataclasses import dataclass
from enum import StrEnum


class FieldKind(StrEnum):
    """Kind of a field: how it is read, compared and shown."""

    TEXT = "TEXT"
    """Text that filters compare as a whole."""
    WORDS = "WORDS"
    """Text that filters search in."""
    TEXTS = "TEXTS"
    CATEGORY = "CATEGORY"
    """Path from the root down."""
    MONEY = "MONEY"
    TIME = "TIME"
    NUMBER = "NUMBER"
    FLAG = "FLAG"
    AVAILABILITY = "AVAILABILITY"
    ATTRIBUTES = "ATTRIBUTES"
    """Typed values by key; filters name one as ``attributes.<key>``."""
    MARKETS = "MARKETS"
    """Values by market."""


@dataclass(frozen=True, slots=True)
class ProductField:
    """One field of a product."""

    name: str
    """Name in filters."""
    kind: FieldKind
    attribute: str
    """Name in ``Product``."""
    wire: str
    """Name in the contract's message."""
    column: str
    """Name in files."""
    required: bool = False
    filtered: bool = False
    faceted: bool = False
    written: bool = True
    """False if the service sets it."""
