"""The retriever's values and its errors.

Nothing here knows of SQL, files, Milvus or the wire. Errors, each with its reason on the wire::

    ServiceError
    ├── InvalidArgument
    │   ├── IndexTokenInvalid      INDEX_TOKEN_INVALID
    │   ├── FilterInvalid          FILTER_INVALID
    │   ├── VectorInvalid          VECTOR_INVALID
    │   ├── KeywordsInvalid        KEYWORDS_INVALID
    │   ├── ProductInvalid         PRODUCT_INVALID
    │   ├── FieldMaskInvalid       FIELD_MASK_INVALID
    │   ├── OfferInvalid           OFFER_INVALID
    │   ├── ImageRejected          IMAGE_UNDECODABLE, IMAGE_TOO_LARGE
    │   ├── IndexParametersInvalid INDEX_PARAMETERS_INVALID
    │   └── (servicekit.fetch)     URI_FORBIDDEN
    ├── NotFound
    │   ├── ProductNotFound        PRODUCT_NOT_FOUND
    │   ├── ImageNotFound          IMAGE_NOT_FOUND
    │   ├── ImportNotFound         IMPORT_NOT_FOUND
    │   └── GenerationNotFound     GENERATION_NOT_FOUND
    ├── AlreadyExists
    │   └── GenerationExists       GENERATION_EXISTS
    ├── FailedPrecondition
    │   ├── SpaceUnavailable       SPACE_UNAVAILABLE
    │   ├── GenerationNotVerified  GENERATION_NOT_VERIFIED
    │   ├── GenerationActive       GENERATION_ACTIVE
    │   ├── RollbackUnavailable    ROLLBACK_UNAVAILABLE
    │   ├── ImportClosed           IMPORT_CLOSED
    │   ├── ImportModeMismatch     IMPORT_MODE_MISMATCH
    │   ├── ImportDeletesTooMuch   IMPORT_DELETES_TOO_MUCH
    │   └── VersionMismatch        INDEX_VERSION_MISMATCH
    ├── Aborted
    │   └── EtagMismatch           ETAG_MISMATCH
    ├── Unavailable
    │   ├── IndexUnavailable       INDEX_UNAVAILABLE
    │   ├── EmbedderUnavailable    EMBEDDER_UNAVAILABLE
    │   └── PhotosUnavailable      PHOTO_STORE_UNAVAILABLE
    ├── ResourceExhausted
    │   ├── GenerationsFull        GENERATIONS_FULL
    │   └── PhotosFull             PHOTO_STORE_FULL
    ├── DeadlineExceeded
    │   └── StageDeadline          STAGE_DEADLINE
    ├── DataLoss
    │   └── ImageDamaged           IMAGE_DAMAGED
    └── Internal
        └── IndexRefused           INDEX_REFUSED: the engine took our own request for wrong
    CollectionAbsent, CollectionReleased    never on the wire: the index use cases mend them
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from servicekit.errors import (
    Aborted,
    AlreadyExists,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from servicekit.requests import FieldsInvalid, describe
from sightline_rules import categories
from sightline_rules.filters import Availability, Facts, Money, Time, by_key

Floats = npt.NDArray[np.float32]

MOST_LIVE = 8
"""Generations of a space in a catalog: each holds the whole of it, and every write reaches each."""

MAX_ATTEMPTS = 10
"""After so many attempts, a failure of the photo's own ends the trying."""
OUTAGES = ("EMBEDDER_UNAVAILABLE", "PHOTO_STORE_UNAVAILABLE")
"""Reasons for which a photo waits that are no fault of its own, as far as one can tell."""


class IndexTokenInvalid(InvalidArgument):
    """An index token that this service did not give for this catalog."""

    reason = "INDEX_TOKEN_INVALID"
    message = "this index token is not one of this catalog"
    violations = (FieldViolation("min_index_token", "is not one of this catalog"),)


class FilterInvalid(FieldsInvalid):
    """A filter that can't be evaluated."""

    reason = "FILTER_INVALID"

    def __init__(self, path: str, description: str) -> None:
        super().__init__(FieldViolation(path, description))


class VectorInvalid(FieldsInvalid):
    """A vector of the wrong size, with a value that is not finite, or all zero."""

    reason = "VECTOR_INVALID"

    def __init__(self, path: str, description: str) -> None:
        super().__init__(FieldViolation(path, description))


class KeywordsInvalid(FieldsInvalid):
    """What was typed has no characters, or too many."""

    reason = "KEYWORDS_INVALID"

    def __init__(self, description: str) -> None:
        super().__init__(FieldViolation("text", description))


class ProductInvalid(FieldsInvalid):
    """Fields of one product are missing or out of their documented range."""

    reason = "PRODUCT_INVALID"


class FieldMaskInvalid(FieldsInvalid):
    """A field mask that names what can't be changed."""

    reason = "FIELD_MASK_INVALID"


class OfferInvalid(FieldsInvalid):
    """Fields of one offer are out of their documented range."""

    reason = "OFFER_INVALID"


class IndexParametersInvalid(FieldsInvalid):
    """How a generation is to be searched makes no sense."""

    reason = "INDEX_PARAMETERS_INVALID"


class ImageRejected(InvalidArgument):
    """A photo that is not taken."""

    def __init__(self, reason: str, description: str, path: str = "") -> None:
        violations = (FieldViolation(path, description),) if path else ()
        super().__init__(description, reason=reason, violations=violations)


class ProductNotFound(NotFound):
    """The catalog holds no such product."""

    reason = "PRODUCT_NOT_FOUND"
    message = "this catalog has no such product"

    def __init__(self, *paths: str) -> None:
        super().__init__(
            violations=[FieldViolation(path, "is not in the catalogue") for path in paths]
        )


class ImageNotFound(NotFound):
    """The catalog, or the product, holds no such photo."""

    reason = "IMAGE_NOT_FOUND"
    message = "no such photo is stored"

    def __init__(self, path: str = "") -> None:
        violation = FieldViolation(path, "names a photo that is not stored")
        super().__init__(violations=(violation,) if path else ())


class ImportNotFound(NotFound):
    """The catalog has no import of this id."""

    reason = "IMPORT_NOT_FOUND"
    message = "this catalog has no such import: open it first"


class GenerationNotFound(NotFound):
    """The catalog has no index generation of this name in this space."""

    reason = "GENERATION_NOT_FOUND"
    message = "this catalog has no such generation"


class SpaceUnavailable(FailedPrecondition):
    """The space has no index yet, or does not exist."""

    reason = "SPACE_UNAVAILABLE"
    message = "this space has no index in this catalog (yet)"

    def __init__(self, space: str, description: str = "") -> None:
        super().__init__(description, metadata={"space": space})


class GenerationExists(AlreadyExists):
    """The catalog has, or had, a generation of this name."""

    reason = "GENERATION_EXISTS"
    message = "this catalog has, or had, a generation of this name: take another one"

    def __init__(self, name: str) -> None:
        super().__init__(metadata={"name": name})


class GenerationsFull(ResourceExhausted):
    """The space has as many generations as it may have: each holds the whole catalogue."""

    reason = "GENERATIONS_FULL"

    def __init__(self, most: int) -> None:
        super().__init__(f"this space has {most} generations in this catalog: drop one first")


class GenerationNotVerified(FailedPrecondition):
    """The generation is not known to be good."""

    reason = "GENERATION_NOT_VERIFIED"

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{why}; or activate it with force", metadata={"name": name})


class GenerationActive(FailedPrecondition):
    """Searches use the generation."""

    reason = "GENERATION_ACTIVE"
    message = "this generation is the active one of its space: activate another one first"

    def __init__(self, name: str) -> None:
        super().__init__(metadata={"name": name})


class RollbackUnavailable(FailedPrecondition):
    """No generation was active before the present one, or it was dropped."""

    reason = "ROLLBACK_UNAVAILABLE"
    message = "no generation to go back to: none was active before, or it was dropped"

    def __init__(self, space: str) -> None:
        super().__init__(metadata={"space": space})


class VersionMismatch(FailedPrecondition):
    """A vector of another version of the space than the index holds: never to be compared."""

    reason = "INDEX_VERSION_MISMATCH"
    message = "the vector's space version is not the one that the index holds"

    def __init__(self, given: str, held: str) -> None:
        super().__init__(metadata={"given": given, "held": held})


class ImportClosed(FailedPrecondition):
    """The import was closed and takes no more rows."""

    reason = "IMPORT_CLOSED"
    message = "this import is closed: open another one"


class ImportModeMismatch(FailedPrecondition):
    """The import was opened with the other mode."""

    reason = "IMPORT_MODE_MISMATCH"

    def __init__(self, opened: ImportMode) -> None:
        violation = FieldViolation(
            "mode", f"is not the one that this import was opened with, {opened}"
        )
        super().__init__(describe([violation]), violations=(violation,))


class ImportDeletesTooMuch(FailedPrecondition):
    """Closing the import would delete more than the set share of the catalog."""

    reason = "IMPORT_DELETES_TOO_MUCH"

    def __init__(self, deleted: int, held: int, share: float) -> None:
        super().__init__(
            f"closing would delete {deleted:,} of {held:,} products, more than {share:.0%}; "
            "look at them with dry_run, then close with force",
            metadata={"delete_count": str(deleted), "product_count": str(held)},
        )


class EtagMismatch(Aborted):
    """The product changed since the caller read it."""

    reason = "ETAG_MISMATCH"
    message = "the product is not (or no longer) what this etag says"


class IndexUnavailable(Unavailable):
    """The engine does not answer, or not in time."""

    reason = "INDEX_UNAVAILABLE"
    message = "the vector index does not answer"
    retry_after = timedelta(seconds=1)


class EmbedderUnavailable(Unavailable):
    """The embedder, or the model behind it, does not answer."""

    reason = "EMBEDDER_UNAVAILABLE"
    message = "the embedder does not answer"
    retry_after = timedelta(seconds=1)


class PhotosUnavailable(Unavailable):
    """The photo store can't be read or written."""

    reason = "PHOTO_STORE_UNAVAILABLE"
    message = "the photo store can't be reached"
    retry_after = timedelta(seconds=2)


class PhotosFull(ResourceExhausted):
    """The photo store's disk is full. Nothing of the product was kept."""

    reason = "PHOTO_STORE_FULL"
    message = "the photo store is full"


class StageDeadline(DeadlineExceeded):
    """The index did not reach the write that the caller wants to see in the time there was."""

    reason = "STAGE_DEADLINE"
    message = "the index has not reached min_index_token in time"


class ImageDamaged(DataLoss):
    """The stored bytes do not have the photo's hash any more."""

    reason = "IMAGE_DAMAGED"
    message = "the stored photo is damaged"


class IndexRefused(Internal):
    """The engine refused what we sent: our own mistake."""

    reason = "INDEX_REFUSED"
    message = "the index refused the request"


class CollectionAbsent(Exception):
    """The engine has no such collection: it lost its data, or is another engine."""


class CollectionReleased(Exception):
    """The collection is not in the engine's memory: the engine was started anew."""


# The catalogue's values


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


@dataclass(frozen=True, slots=True)
class ImageDraft:
    """A photo as a caller gave it: bytes, the id of a stored one, or where to fetch it from."""

    content: bytes
    image_id: str
    uri: str = ""


@dataclass(frozen=True, slots=True)
class ProductDraft:
    """A product as a caller gave it, unchecked."""

    product_id: str
    parent_id: str = ""
    title: str = ""
    description: str = ""
    category_path: tuple[str, ...] = ()
    brand: str = ""
    price: Amount | None = None
    availability: Availability | None = Availability.IN_STOCK
    """None = a number that is no availability."""
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str | float | bool | None], ...] = ()
    """Key and value; None = no value was given."""
    images: tuple[ImageDraft, ...] = ()
    language_code: str = ""
    uri: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ProductContent:
    """What a product says of itself, checked. Its photos are given by their ids."""

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
    """See sightline_rules.duplicates; 0 = none, or not hashed yet."""


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

    @property
    def image_hash(self) -> int:
        """That of the photo that is shown of it, its first; 0 = none."""
        return self.images[0].perceptual_hash if self.images else 0

    @cached_property
    def facts(self) -> Facts:
        """What filters may ask of it."""
        content = self.content
        return Facts(
            category=categories.join(content.category_path),
            brand=content.brand,
            title=content.title,
            price=content.price,
            availability=content.availability,
            tags=frozenset(content.tags),
            attributes=by_key((item.key, item.value) for item in content.attributes),
            create_time=Time(self.create_time),
            update_time=Time(self.update_time),
        )


@dataclass(frozen=True, slots=True)
class ProductWrite:
    """A product to write."""

    content: ProductContent
    new_images: Mapping[str, Image]
    """Those of its photos whose bytes came with it, by id; the others must be stored already."""
    etag: str = ""
    """Write only over this content; empty = over whatever is stored."""
    path: str = "product"
    """Where the request holds it, for field violations."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A write that is committed."""

    product_id: str
    etag: str
    image_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProductChange:
    """A product to change in part."""

    content: ProductContent
    """Its id, and the new values of `fields`; what else it says counts for nothing."""
    fields: frozenset[str]
    """Names of fields of ProductContent."""
    new_images: Mapping[str, Image]
    """As in ProductWrite."""
    etag: str = ""
    """Change only this content; empty = whatever is stored."""
    path: str = "product"
    """Where the request holds it, for field violations."""


@dataclass(frozen=True, slots=True)
class OfferDraft:
    """Price and availability as a caller gave them, unchecked."""

    product_id: str
    price: Amount | None = None
    """None = stays as it is."""
    availability: Availability | None = None
    """None = stays as it is."""
    availability_known: bool = True
    """Whether the number that was given is an availability."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Price and availability to set."""

    product_id: str
    price: Money | None
    """None = stays as it is."""
    availability: Availability | None
    """None = stays as it is."""


class ImportMode(StrEnum):
    """What an import does with products that it does not hold."""

    INCREMENTAL = "INCREMENTAL"
    """They stay."""
    FULL = "FULL"
    """They are deleted when it is closed."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is."""

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
    """Its product; empty = its id is not one."""
    write: ProductWrite | ServiceError | None
    """What to store, or why not. None = it was decided before."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing an import deletes, or would delete."""

    progress: ImportProgress
    delete_count: int
    sample: tuple[str, ...]
    before: int
    """Products last written whole before this number of the commit sequence are deleted."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a look at a part of the catalog found."""

    product_ids: tuple[str, ...]
    """Of those that pass."""
    after: tuple[int, str] | None
    """Where to go on; None = that was all."""


class Collapse(StrEnum):
    """What becomes of near-duplicates in an answer; see vector_service.proto."""

    DROP = "DROP"
    MARK = "MARK"
    OFF = "OFF"


class Order(StrEnum):
    """The order of a list."""

    PRODUCT_ID = "product_id"
    NEWEST = "newest"


# The index's values

TEXT_SPACE = "text"
"""The space whose vectors the embedder makes of the products' texts (texts.py), one a product."""


class GenerationState(StrEnum):
    """BUILDING → READY → DROPPED."""

    BUILDING = "BUILDING"
    READY = "READY"
    DROPPED = "DROPPED"


class Metric(StrEnum):
    """How near two vectors are. `Hit.similarity` says what its numbers mean."""

    COSINE = "COSINE"
    L2 = "L2"
    IP = "IP"


class IndexKind(StrEnum):
    """How the engine finds neighbours."""

    FLAT = "FLAT"
    """It compares with every row: exact, also under a filter."""
    HNSW = "HNSW"
    """It walks a graph: much quicker from some 10,000 rows on, and it can miss rows."""


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """How a collection is indexed and searched. `ef` may differ from search to search."""

    metric: Metric = Metric.COSINE
    kind: IndexKind = IndexKind.FLAT
    m: int = 16
    """HNSW: neighbours of a row in the graph, 4 to 64. More find better and take more memory."""
    ef_construction: int = 200
    """HNSW: candidates looked at when a row comes in, 8 to 512."""
    ef: int = 128
    """HNSW: candidates that a search keeps, 1 to 32,768; never fewer than the hits wanted."""
    partitions: int = 0
    """Parts that the engine keeps by top category, up to MAX_PARTITIONS: a search in some
    categories looks at theirs alone, and any other at all of them. 0 or 1 = one for all."""


MAX_PARTITIONS = 64
"""What a Milvus server makes of a partition key that says nothing of it."""
EXACT = IndexParameters()
"""Every row compared by its cosine."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification of a generation found."""

    findings: tuple[str, ...]
    """What is wrong, one sentence each."""
    sample_count: int
    """Photos that were embedded again."""
    least_agreement: float
    """Least cosine of a stored vector and the one embedded again, −1 to 1."""
    recall: float
    """Share of the exact nearest neighbours that the index finds, 0 to 1."""
    filtered_recall: float | None
    """The same under a filter; None = none passes a part of the catalogue."""
    k: int
    """Neighbours that were asked for."""
    record_count: int
    """Rows that the record says the index should hold."""
    index_count: int
    """Rows that the engine holds."""
    unsound_count: int
    """Vectors that are not finite or all zero."""
    end_time: int
    """Microseconds since 1970 (UTC)."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
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
    """Whether searches that name no generation use this one."""
    created: int
    """Microseconds since 1970 (UTC)."""
    applied_seq: int
    """Every outbox entry up to this one is in the collection."""
    applied_time: int
    """When the newest of these was written, microseconds since 1970 (UTC); 0 = none yet."""
    check_wanted: bool
    """Whether someone noticed that the engine may have lost rows."""
    parameters: IndexParameters = EXACT
    activated: int = 0
    """When it was last made active, microseconds since 1970 (UTC); 0 = never."""
    predecessor: str = ""
    """The generation that was active before it; empty = there was none, or it was rolled back."""
    forced: bool = False
    """Whether its last activation was forced past its verification."""
    verification: Verification | None = None
    """The newest one."""
    of_products: bool = False
    """Whether it has one vector a product; else one a photo, made by the embedder."""

    @property
    def of_texts(self) -> bool:
        """Whether its vectors are those of the products' texts, made by the embedder."""
        return self.of_products and self.space == TEXT_SPACE

    @property
    def given(self) -> bool:
        """Whether callers alone give its vectors."""
        return self.of_products and not self.of_texts


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """A generation and how much of the catalogue it holds."""

    generation: Generation
    previous: bool
    """Whether a rollback would make it active."""
    indexed: int
    """Photos, or products, that have a vector of its version."""
    pending: int
    """Photos, or products, that wait for their vector."""
    failed: int
    """Photos, or products, that could not be embedded."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a backfill still waits for."""

    waiting: int
    """Photos that wait for their vector, those left out that fail for a reason of their own."""
    troubled: int
    """Photos that fail, or could not be embedded."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far a generation is behind the record."""

    seq: int
    """The newest write that the generation holds in full, with all before it."""
    head: int
    """The record's newest write."""
    time: int
    """When the newest wholly indexed record was written, microseconds since 1970; 0 = none."""
    oldest_open: int
    """When the oldest write was made that is not in the generation; 0 = it holds all."""
    pending: int
    """Photos that wait for their vector."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A generation and how far it is, of one moment."""

    generation: Generation
    freshness: Freshness
    """Of the engine's collection."""
    record: Freshness
    """Of the record itself: it lacks only what waits for its vector."""


@dataclass(frozen=True, slots=True)
class Change:
    """An outbox entry: a product of which the index may hold something else."""

    seq: int
    product_id: str
    removed: tuple[str, ...]
    """Ids of index rows that the write took away."""
    time: int
    """When the record was written, microseconds since 1970 (UTC)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whether there is work for the worker."""

    photos: bool
    """Photos that can be embedded now."""
    changes: bool
    """Outbox entries that a generation does not hold, or one that is to be checked."""
    jobs: bool
    """Jobs that can be claimed."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A photo, or a product's text, that waits for its vector."""

    item_id: str
    """Of the photo; in a generation of texts, of the product."""
    size: int
    """Bytes of the photo; 0 = it is a text."""
    attempts: int
    used: bool
    """Whether a product still has it; of a text, not looked up."""


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
    """Sorts hits: best first, equal ones always alike."""
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
    """Whether a collection can be searched."""

    ABSENT = 0
    RELEASED = 1
    LOADED = 2


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """A version of a space as the embedder offers it now."""

    space: str
    version: str
    dimension: int
    ready: bool
    default: bool = True
    """Whether photos are embedded with it that name no version."""
    categories: int = 0
    """How many its head knows; 0 = it has none."""


CategoryPath = tuple[str, ...]
"""From the root down."""


@dataclass(frozen=True, slots=True)
class CategoryGuess:
    """A category that a photo may be of."""

    path: CategoryPath
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What a photo is of, as a head learned from the catalogue tells it."""

    guesses: tuple[CategoryGuess, ...]
    """The likeliest full paths, best first."""
    unknown_probability: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """A photo that contradicts its product's category."""

    image_id: str
    probability: float
    """The chance that the photo is of that category, at most."""
    instead: CategoryGuess | None
    """What it rather looks like; None = like none that is known."""
    space_version: str
    """Of the space whose head says so."""


@dataclass(frozen=True, slots=True)
class GivenVector:
    """A vector as a caller gave it, unchecked."""

    space: str
    space_version: str
    dimension: int
    data: bytes
    classification: Classification | None = None
    """What the photo is of, where the embedder was asked."""


@dataclass(frozen=True, slots=True)
class VectorWrite:
    """A photo's vector, or a product's own, to store."""

    image_id: str
    """Empty where a product has one vector."""
    vector: Floats
    product_id: str = ""
    """The product that must have the photo; empty = any may."""
    digest: str = ""
    """Of the text that it was made of; it is not stored if the product's is another by now. Empty =
    of the text as it is."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a catalog's record holds."""

    products: int
    images: int
    pending: int
    failed: int
    outbox: int


@dataclass(frozen=True, slots=True)
class Label:
    """A product's photo, with what it shows."""

    image_id: str
    product_id: str
    parent_id: str
    title: str
    category_path: tuple[str, ...]
    tags: frozenset[str]
    perceptual_hash: int
    """See sightline_rules.duplicates; NO_HASH = not hashed yet."""

    @property
    def family(self) -> str:
        """What all variants of a parent and the parent itself share."""
        return self.parent_id or self.product_id


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How a space is to be fitted; see FitSpaceRequest in fit_service.proto."""

    backbone: str
    max_dimension: int
    seed: int
    max_photos: int
    shopper_photo_tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FitPhoto:
    """A photo to fit a space on."""

    data: bytes
    label: Label
    group: str
    """Photos of one group are the same picture."""
    shopper: bool
    """Whether a shopper took it."""


@dataclass(frozen=True, slots=True)
class FitProgress:
    """How far the embedder is with fitting a space."""

    done: int
    """Photos."""
    skipped: int
    version: str = ""
    """Of the space that was fitted; empty = not done yet."""
    model: str = ""
    verdict: str = ""
