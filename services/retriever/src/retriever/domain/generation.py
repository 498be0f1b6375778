"""Index generations: collections of vectors of one space version, and their freshness."""

from dataclasses import dataclass
from enum import StrEnum

from retriever.domain.errors import IndexParametersInvalid
from servicekit.errors import FieldViolation

MOST_LIVE = 8
"""Maximum number of live generations of a space in a catalog: each holds the whole catalog and
receives every write."""
TEXT_SPACE = "text"
"""The space of products' texts (domain/texts.py), one vector a product, made by the embedder."""


class GenerationState(StrEnum):
    """BUILDING → READY → DROPPED."""

    BUILDING = "BUILDING"
    READY = "READY"
    DROPPED = "DROPPED"


class VectorMetric(StrEnum):
    """Similarity of two vectors; see `Hit.similarity` for its numbers."""

    COSINE = "COSINE"
    L2 = "L2"
    IP = "IP"


class IndexKind(StrEnum):
    """Algorithm by which the engine finds neighbours."""

    FLAT = "FLAT"
    """Compares with every row: exact, also under a filter."""
    HNSW = "HNSW"
    """Walks a graph: much faster from about 10,000 rows on; can miss rows."""


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """Parameters of indexing and searching a collection. `ef` may differ between searches."""

    metric: VectorMetric = VectorMetric.COSINE
    kind: IndexKind = IndexKind.FLAT
    m: int = 16
    """HNSW: neighbours of a row in the graph, 4 to 64. More raise recall and memory."""
    ef_construction: int = 200
    """HNSW: candidates examined when a row is inserted, 8 to 512."""
    ef: int = 128
    """HNSW: candidates that a search keeps, 1 to 32,768; never fewer than the hits wanted."""
    partitions: int = 0
    """Number of partitions by top category, up to MAX_PARTITIONS: a search in some categories reads
    only their partitions, any other search all of them. 0 or 1: a single one."""


MAX_DIMENSION = 32_768
"""Largest dimension that Milvus accepts."""
MAX_PARTITIONS = 64
"""Number of partitions that a Milvus server creates for a partition key by default."""
EXACT = IndexParameters()
"""Exact comparison of every row by cosine."""


NEAREST_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Quantiles of Verification.nearest_cosines, as in the contract."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Findings of a verification of a generation."""

    findings: tuple[str, ...]
    """Faults, one sentence each."""
    sample_count: int
    """Photos that were embedded again."""
    least_agreement: float
    """Least cosine of a stored vector and the one embedded again, −1 to 1."""
    recall: float
    """Share of the exact nearest neighbours that the index finds, 0 to 1."""
    filtered_recall: float | None
    """Recall under a filter. `None` if no filter passed a suitable share of the catalog."""
    k: int
    """Neighbours that were asked for."""
    record_count: int
    """Rows that the index should hold according to the record."""
    index_count: int
    """Rows that the engine holds."""
    unsound_count: int
    """Vectors that are not finite or all zero."""
    end_time: int
    """Microseconds since 1970 (UTC)."""
    nearest_cosines: tuple[float, ...] = ()
    """Quantiles NEAREST_SHARES of the cosine between a sampled photo and its nearest other product.
    Empty if unmeasured: too few photos, or another metric."""

    @property
    def passed(self) -> bool:
        """Return whether the verification has no findings."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class Generation:
    """One collection of vectors of one space version."""

    catalog_id: str
    name: str
    space: str
    space_version: str
    dimension: int
    collection: str
    """The collection's name in the engine."""
    state: GenerationState
    active: bool
    """True if searches that name no generation use this one."""
    created: int = 0
    """Microseconds since 1970 (UTC)."""
    applied_seq: int = 0
    """Every outbox entry up to this one is in the collection."""
    applied_time: int = 0
    """Time when the newest of these was written, microseconds since 1970 (UTC). 0 if none yet."""
    check_wanted: bool = True
    """True if someone noticed that the engine may have lost rows."""
    parameters: IndexParameters = EXACT
    activated: int = 0
    """Time when it was last made active, microseconds since 1970 (UTC). 0 if never."""
    predecessor: str = ""
    """The generation that was active before it. Empty without one, or after a rollback."""
    forced: bool = False
    """True if its last activation was forced past its verification."""
    verification: Verification | None = None
    """The newest one."""
    of_products: bool = False
    """True if it has one vector a product; else one a photo, made by the embedder."""

    @property
    def of_texts(self) -> bool:
        """Return whether its vectors are those of the products' texts, made by the embedder."""
        return self.of_products and self.space == TEXT_SPACE

    @property
    def given(self) -> bool:
        """Return whether callers alone give its vectors."""
        return self.of_products and not self.of_texts


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A live generation, and whether it lacks anything."""

    generation: Generation
    changes: bool
    """Outbox entries that it does not hold."""
    pending: bool
    """Photos, or products, that are pending embedding with its version."""


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """A generation and how much of the catalog it holds."""

    generation: Generation
    previous: bool
    """True if a rollback would make it active."""
    indexed: int
    """Photos, or products, that have a vector of its version."""
    pending: int
    """Photos, or products, that are pending embedding."""
    failed: int
    """Photos, or products, that could not be embedded."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Items that a backfill still waits for."""

    waiting: int
    """Photos pending embedding, those left out that fail for a reason of their own."""
    troubled: int
    """Photos that fail, or could not be embedded."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Lag of a generation behind the record."""

    seq: int
    """The newest write that the generation holds in full, with all before it."""
    head: int
    """The record's newest write."""
    time: int
    """Time when the newest fully indexed record was written, microseconds since 1970. 0 if none."""
    oldest_open: int
    """When the oldest write missing in the generation was made; 0: it holds all."""
    pending: int
    """Photos pending embedding."""


@dataclass(frozen=True, slots=True)
class GenerationSnapshot:
    """A generation and how far it is, of one moment."""

    generation: Generation
    freshness: Freshness
    """Lag of the engine's collection."""
    record: Freshness
    """Lag of the record itself: only items pending for their vectors."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a catalog's record."""

    products: int
    images: int
    pending: int
    failed: int
    outbox: int


def check_parameters(given: IndexParameters) -> None:
    """Raise IndexParametersInvalid if a parameter is out of range."""
    ranges = [("partitions", given.partitions, 0, MAX_PARTITIONS)]
    if given.kind is IndexKind.HNSW:
        ranges += [
            ("m", given.m, 4, 64),
            ("ef_construction", given.ef_construction, 8, 512),
            ("ef", given.ef, 1, 32_768),
        ]
    wrong = [
        FieldViolation(f"parameters.{name}", f"is {value:,}; it must be {low} to {high:,}")
        for name, value, low, high in ranges
        if not low <= value <= high
    ]
    if wrong:
        raise IndexParametersInvalid(*wrong)


DEFAULT_SPACE = "visual"
