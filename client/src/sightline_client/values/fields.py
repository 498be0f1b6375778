"""Description of a product's fields, as ``values.products`` lists them."""

from dataclasses import dataclass
from enum import StrEnum


class FieldKind(StrEnum):
    """Kind of a field: how it is read, compared and shown."""

    TEXT = "TEXT"
    """Text that a filter compares whole."""
    WORDS = "WORDS"
    """Text that a filter only looks into."""
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


@dataclass(frozen=True, slots=True)
class ProductField:
    """One field of a product."""

    name: str
    """In filters."""
    kind: FieldKind
    attribute: str
    """In ``Product``."""
    wire: str
    """In the contract's message."""
    column: str
    """In files."""
    required: bool = False
    filtered: bool = False
    faceted: bool = False
    written: bool = True
    """False: the service sets it."""
