"""Imports: many rows of products under one id."""

from dataclasses import dataclass
from enum import StrEnum

from retriever.domain.product import ProductWrite
from servicekit.errors import ServiceError


class ImportMode(StrEnum):
    """Treatment of products that an import does not contain."""

    INCREMENTAL = "INCREMENTAL"
    """They stay."""
    FULL = "FULL"
    """They are deleted when it is closed."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Progress of an import."""

    import_id: str
    mode: ImportMode
    rows_done: int
    """Rows 1 to this one are decided."""
    stored_count: int
    refused_count: int
    closed: bool


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One row to decide."""

    number: int
    product_id: str
    """Its product. Empty if the id is invalid."""
    write: ProductWrite | ServiceError | None
    """The product to store, or the error. `None` if an earlier request decided the row."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The products that closing an import deletes, or would delete."""

    progress: ImportProgress
    delete_count: int
    sample: tuple[str, ...]
    before: int
    """Products last written whole before this number of the commit sequence are deleted."""
