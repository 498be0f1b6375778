"""Rows of the index, hits of a search, and changes that the index lacks."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from retriever.domain.vectors import Floats
from sightline_rules.facts import Facts


class Collapse(StrEnum):
    """Treatment of near-duplicates in an answer; see vector_service.proto."""

    DROP = "DROP"
    MARK = "MARK"
    OFF = "OFF"


@dataclass(frozen=True, slots=True)
class Change:
    """An outbox entry: a product whose rows in the index may be outdated."""

    seq: int
    product_id: str
    removed: tuple[str, ...]
    """Ids of index rows that the write took away."""
    time: int
    """When the record was written, microseconds since 1970 (UTC)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """True if there is work for the worker."""

    photos: bool
    """Photos that can be embedded now."""
    changes: bool
    """Outbox entries that a generation does not hold, or one that is to be checked."""
    jobs: bool
    """Jobs that can be claimed."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One photo of one product, as the engine holds it."""

    row_id: str
    seq: int
    """The newer of the product's last write and the vector's."""
    product_id: str
    image_id: str
    facts: Facts
    vector: Floats
    """float32, of the generation's dimension, finite and not all zero."""
    parent_id: str = ""
    """The product of which it is a variant. Empty if it is no variant."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that a search found."""

    row_id: str
    product_id: str
    image_id: str
    similarity: float
    """Greater is nearer. COSINE: −1 to 1. IP: the inner product. L2: minus the squared distance,
    0 for the same vector."""


def hit_order(hit: Hit) -> tuple[float, str, str]:
    """Return the sort key of hits: best first, ties in a fixed order."""
    return -hit.similarity, hit.product_id, hit.row_id


@dataclass(frozen=True, slots=True)
class Slice:
    """One of `count` parts of a collection, about equally large and random: by the rows' ids."""

    number: int
    """From 0."""
    count: int
    """1 to 8."""


WHOLE = Slice(0, 1)


class CollectionState(IntEnum):
    """True if a collection can be searched."""

    ABSENT = 0
    RELEASED = 1
    LOADED = 2
