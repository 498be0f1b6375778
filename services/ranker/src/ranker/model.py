"""The ranker's values, its errors and what it asks of its collaborators.

Nothing here knows of SQL, files or the wire. Errors, each with its reason on the wire::

    ServiceError
    ├── InvalidArgument
    │   ├── EventInvalid        EVENT_INVALID
    │   └── EventTimeInvalid    EVENT_TIME_INVALID
    ├── NotFound
    │   ├── ModelNotFound       MODEL_NOT_FOUND
    │   ├── EvaluationMissing   EVALUATION_NOT_FOUND
    │   ├── ProductUnknown      PRODUCT_NOT_FOUND
    │   └── AnswerMissing       ANSWER_RECORD_MISSING
    ├── AlreadyExists
    │   └── EventConflict       EVENT_CONFLICT
    ├── Aborted
    │   └── PromotionConflict   PROMOTION_CONFLICT
    └── FailedPrecondition
        ├── ConsentRequired     CONSENT_REQUIRED
        ├── ModelCorrupt        MODEL_CORRUPT
        ├── ModelUnproven       MODEL_UNPROVEN
        ├── PublishIncomplete   PUBLISH_INCOMPLETE
        ├── DataInsufficient    TRAINING_DATA_INSUFFICIENT
        ├── TrainingDiverged    TRAINING_DIVERGED
        ├── BaseUnusable        TRAINING_BASE_UNUSABLE
        ├── StoreUnwritable     MODEL_STORE_UNWRITABLE
        └── ExportUnwritable    EXPORT_UNWRITABLE
    KeyUnusable                 never on the wire: the service does not start
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from servicekit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
)

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_MICROS = 86_400 * 1_000_000


class EventInvalid(InvalidArgument):
    """Fields of one event are missing or out of their documented range."""

    def __init__(self, *violations: FieldViolation) -> None:
        text = "; ".join(f"{item.field}: {item.description}" for item in violations)
        super().__init__(text, reason="EVENT_INVALID", violations=violations)


class EventTimeInvalid(InvalidArgument):
    """An event's time is too far ahead, or is no time at all."""

    def __init__(self, description: str) -> None:
        super().__init__(
            f"event_time: {description}",
            reason="EVENT_TIME_INVALID",
            violations=(FieldViolation("event_time", description),),
        )


class EventConflict(AlreadyExists):
    """An event of this id is stored with other content."""

    reason = "EVENT_CONFLICT"
    message = "another event has this event_id: an event can't be changed"


class ModelNotFound(NotFound):
    """The catalog has no model of this version, or none that served before."""

    reason, message = "MODEL_NOT_FOUND", "this catalog has no such model"


class EvaluationMissing(NotFound):
    """The model was not evaluated."""

    reason, message = "EVALUATION_NOT_FOUND", "this model was not evaluated yet"


class ProductUnknown(NotFound):
    """No model serves, or it was trained before the product came."""

    def __init__(self, *, serving: bool) -> None:
        problem = "the serving model does not know it" if serving else "no model serves yet"
        super().__init__(f"nothing is known of this product: {problem}", reason="PRODUCT_NOT_FOUND")


class AnswerMissing(NotFound):
    """The answer's record was lost, has expired or was never handed over."""

    reason, message = "ANSWER_RECORD_MISSING", "no record of this answer is kept"


class PromotionConflict(Aborted):
    """Another model was promoted, or one rolled back, while a rollback was on its way."""

    reason = "PROMOTION_CONFLICT"
    message = "the serving model changed meanwhile: look which one serves, then decide"


class ConsentRequired(FailedPrecondition):
    """Attributes of a shopper came without their consent."""

    reason = "CONSENT_REQUIRED"
    message = "attributes are stored only with the shopper's consent: say so in `consent`"


class ModelCorrupt(FailedPrecondition):
    """A model's files are missing or do not have the hashes that were recorded for them."""

    reason = "MODEL_CORRUPT"


class ModelUnproven(FailedPrecondition):
    """No evaluation shows that the model may take the place of what serves."""

    reason = "MODEL_UNPROVEN"


class PublishIncomplete(FailedPrecondition):
    """The retriever's index did not come to hold what a model has to publish."""

    reason = "PUBLISH_INCOMPLETE"


class DataInsufficient(FailedPrecondition):
    """There is too little to train on."""

    reason = "TRAINING_DATA_INSUFFICIENT"


class TrainingDiverged(FailedPrecondition):
    """What a training learned is no longer finite: its steps are too large."""

    reason = "TRAINING_DIVERGED"
    message = "the training diverged: a smaller learning_rate, or fewer epochs, may help"


class BaseUnusable(FailedPrecondition):
    """An incremental training has no model to begin from."""

    reason = "TRAINING_BASE_UNUSABLE"


class StoreUnwritable(FailedPrecondition):
    """A model can't be written where models are kept."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the model can't be written: {problem}", reason="MODEL_STORE_UNWRITABLE")


class ExportUnwritable(FailedPrecondition):
    """Events can't be written where exports are kept."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the export can't be written: {problem}", reason="EXPORT_UNWRITABLE")


class Interrupted(Exception):
    """The worker stops; the job is to be left to the next one."""


class KeyUnusable(Exception):
    """The pseudonym key is missing, malformed or not the one that the store was written with."""


class EventType(StrEnum):
    """What a shopper did. The names are stored."""

    IMPRESSION = "IMPRESSION"
    VIEW = "VIEW"
    CLICK = "CLICK"
    ADD_TO_CART = "ADD_TO_CART"
    PURCHASE = "PURCHASE"
    RATING = "RATING"
    HIDE = "HIDE"
    UNHIDE = "UNHIDE"
    SEARCH = "SEARCH"


class Verdict(StrEnum):
    """What the evidence says of serving a model. The names are stored."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"


class Identity(StrEnum):
    """What kind of id a shopper is known by."""

    USER = "user"
    VISITOR = "visitor"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Shopper:
    """Who is asking or acting, by the caller's own id. Lives no longer than a call."""

    kind: Identity
    id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in millionths of the currency's unit."""

    micros: int
    currency: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a shopper did, as given; limits are those of the Event message."""

    event_id: str
    shopper: Shopper | None
    type: EventType | None
    product_id: str = ""
    session_id: str = field(default="", repr=False)
    time_micros: int | None = None
    """Microseconds since 1970 (UTC); None = not given."""
    value: float | None = None
    quantity: int = 0
    unit_price: Money | None = None
    order_id: str = ""
    position: int = 0
    scene: str = ""
    attribution_token: str = ""
    query: str = field(default="", repr=False)
    answer_id: str = ""
    """The answer that the token names, as the gateway read it; no part of what the caller gave."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the record holds it: pseudonyms in the place of ids."""

    catalog_id: str
    event: Event
    """With `time_micros` set. Read back, `shopper` is None and `session_id` empty."""
    actor: str
    """Pseudonym of the shopper."""
    session: str
    """Pseudonym of the visit; empty = unknown."""
    key_id: str
    """Which key made the pseudonyms."""
    digest: bytes
    """SHA-256 of the content as given; 32 bytes."""
    received_micros: int
    """When the service took it in, microseconds since 1970 (UTC)."""
    sequence: int = 0
    """The record's own order; 0 = not stored yet."""
    sample_share: float = 1.0
    """Share of the answers whose impressions were kept when this one was, above 0, at most 1: an
    impression stands for ``1 / sample_share`` of them. 1 for all that is no impression."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of a catalog are counted, deleted or exported: those that fit all that is
    given."""

    catalog_id: str
    before_micros: int | None = None
    """Only those before, microseconds since 1970 (UTC); None = any time."""
    types: tuple[EventType, ...] = ()
    """Only these; empty = all."""
    product_id: str = ""
    """Only this one's; empty = any."""
    actor: str = ""
    """Only those of this pseudonym; empty = anybody's."""
    last_sequence: int | None = None
    """Only up to this one in the record's own order: what comes in later stays."""
    from_micros: int | None = None
    """Only those from then on; None = any time."""


@dataclass(frozen=True, slots=True)
class PurgeCount:
    """Which events fit."""

    event_count: int
    first_micros: int | None
    """None = none fits."""
    last_micros: int | None
    last_sequence: int
    """0 = none fits."""


@dataclass(frozen=True, slots=True)
class PurgePlace:
    """How far a purge is: after this event."""

    counted: bool = True
    """Whether it is at the events that count in popularity, which go first, by product."""
    product_id: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Purged:
    """What a batch of a purge came to."""

    count: int
    place: PurgePlace | None
    """Where the next one begins; None = there is nothing more."""


class Written(StrEnum):
    """What became of an event that was handed to the record."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"


class Interaction(NamedTuple):
    """What ranking and training need of an event; a tuple, as each request reads dozens."""

    actor: str
    product_id: str
    type: EventType
    value: float | None
    time_micros: int
    event_id: str
    quantity: int = 0
    """0 = not said."""
    session: str = ""
    """Pseudonym of the visit; empty = unknown."""
    order_id: str = ""
    """Empty = unknown."""


@dataclass(frozen=True, slots=True)
class History:
    """What the record knows of a shopper, read anew for each request."""

    recent: tuple[Interaction, ...] = ()
    """The newest events that speak of interest, newest first, bounded."""
    hidden: frozenset[str] = frozenset()
    """Products that are hidden now."""
    seen: frozenset[str] = frozenset()
    """Products viewed, bought or rated; empty unless asked for."""
    actor: str = ""
    """Whose it is: the user's pseudonym where a merged visitor was asked for; empty = as asked."""
    attributes: tuple[tuple[str, str], ...] = ()
    """What they told of themselves and consented to have used, as (key, value), sorted."""


@dataclass(frozen=True, slots=True)
class Product:
    """What a model can learn from about a product."""

    product_id: str
    category: str = ""
    """Path from the root down, levels joined by " > "; empty = uncategorised."""
    brand: str = ""
    price: Money | None = None
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """Text attributes as (key, value); a key may repeat."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """What products look like: one vector each of the retriever's visual space."""

    product_ids: tuple[str, ...]
    """Sorted; products without a photo are left out."""
    vectors: Floats
    """(products, dimension)"""
    space_version: str


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For each product those that go with it: the rows of a sparse matrix (CSR), read-only.

    The neighbours of product i are ``items[starts[i]:starts[i + 1]]``, sorted, with ``weights`` at
    the same places.
    """

    starts: Ints
    """(products + 1,)"""
    items: npt.NDArray[np.int32]
    """(neighbours of all,) rows of products"""
    weights: Floats
    """(neighbours of all,) how much the product speaks for each; 0 is left out"""


@dataclass(frozen=True, slots=True)
class ProductFeatures:
    """What each product is, for telling people: the rows of a sparse matrix of ones (CSR),
    read-only.

    The features of product i are ``names[features[starts[i]:starts[i + 1]]]``.
    """

    names: tuple[str, ...]
    """Sorted; ``kind=value`` as features.py names them, without ids and axes of the style, and
    ``look=<product id>``: the most typical product of a group that looks alike."""
    starts: Ints
    """(products + 1,)"""
    features: npt.NDArray[np.int32]
    """(features of all,) places in `names`, rising within a product"""
    shares: Floats
    """(names,) share of everybody's interest that went to products with the feature, 0 to 1"""


@dataclass(frozen=True, slots=True)
class Segments:
    """Groups of shoppers with like interests, the largest first. Arrays are read-only.

    A shopper's interests are the mean of the vectors of the products they like, weighed by how
    much; they are of the group whose centroid has the largest inner product with that less `mean`.
    """

    mean: Floats
    """(dimension,) of the interests of all shoppers"""
    centroids: Floats
    """(segments, dimension) unit vectors"""
    shares: Floats
    """(segments,) of the shoppers in training, adding up to 1"""
    strengths: Floats
    """(segments, names of `ProductFeatures`) how much more each group likes a feature than all do,
    0 to 1; see profiles/affinities.py"""
    silhouette: float
    """How clearly the groups stand apart, −1 to 1 (Rousseeuw 1987)"""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The chance of an event as a rising, piecewise linear function of the raw score."""

    event: EventType
    """Of which event the chance is."""
    raw_scores: Doubles
    """(knots,) rising"""
    chances: Doubles
    """(knots,) 0 to 1, not falling; the first and last also hold beyond their scores"""
    sample_count: int
    """Impressions it rests on."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model as it is served. Arrays are read-only and C-contiguous.

    The score of product i for a shopper q is ``item_vectors[i] @ q + item_biases[i]``; a product's
    vector is the sum of its features' vectors, its bias the sum of their biases (Kula 2015,
    arXiv 1507.08439). The shopper's own bias is left out: it moves no order and costs precision.
    """

    version: str
    item_ids: tuple[str, ...]
    """Sorted."""
    item_rows: Mapping[str, int]
    """Row of each product in `item_vectors`."""
    item_vectors: Floats
    """(items, dimension)"""
    item_biases: Floats
    """(items,)"""
    actor_rows: Mapping[str, int]
    """Row of each trained shopper's pseudonym in `actor_vectors`."""
    actor_vectors: Floats
    """(actors, dimension)"""
    feature_rows: Mapping[str, int]
    """Row of each trained feature in `feature_vectors`."""
    feature_names: tuple[str, ...]
    feature_vectors: Floats
    """(features, dimension)"""
    feature_biases: Floats
    """(features,)"""
    score_scale: float
    """99th percentile of the size of behavioural scores in training; divides them."""
    attribute_keys: tuple[str, ...]
    """Attributes that were made features."""
    item_item: Neighbours | None = None
    """Products that people like who like this one; row j holds what a liking of j says."""
    bought_together: Neighbours | None = None
    """Products that are bought with this one."""
    popularity: Floats | None = None
    """(items,) share of the most popular one's decayed count at the end of training, 0 to 1."""
    trend: Floats | None = None
    """(items,) base-2 logarithm of the last weeks' popularity over the time before; 0 = steady."""
    styles: Floats | None = None
    """(items, style dimension) the visual style, scaled as in training; NaN row = no photo."""
    style_mean: Floats | None = None
    """(vector dimension,) of the products' photo vectors"""
    style_axes: Floats | None = None
    """(style dimension, vector dimension) ``style = style_axes @ (vector - style_mean)``"""
    style_space: str = ""
    """Version of the visual space that the style was learned in; empty = no style."""
    part_scales: Mapping[str, float] = field(default_factory=dict)
    """By part what its scores are divided by, so that parts are of one size; absent = score_scale
    for taste and session, 1 for others."""
    blend: Mapping[str, float] = field(default_factory=dict)
    """By part how much it counts after that; empty = Blend's default."""
    calibration: Calibration | None = None
    """None = too few impressions yet: answers have no calibrated score."""
    product_features: ProductFeatures | None = None
    """What each product is; None = trained before profiles were known."""
    segments: Segments | None = None
    """Groups of shoppers; None = too few to tell groups apart."""
    shopper_feature_names: tuple[str, ...] = ()
    """Features that shoppers share, such as ``age_band=25-34``; their ids are not among them."""
    shopper_feature_rows: Mapping[str, int] = field(default_factory=dict)
    """Row of each in `shopper_feature_vectors`."""
    shopper_feature_vectors: Floats | None = None
    """(shopper features, dimension): the sum of a newcomer's is their vector, as in training."""
    item_features: Neighbours | None = None
    """What each product's vector is the sum of: for row i, rows of `feature_vectors` and how much
    of each. Features that training did not learn are left out."""
    item_columns: Floats | None = None
    """(dimension + 1, items) `item_vectors` the other way round, then `item_biases`; in no file:
    see parts.by_columns"""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model as the record knows it."""

    catalog_id: str
    version: str
    manifest_sha256: str
    trained_micros: int
    event_count: int
    shopper_count: int
    product_count: int
    first_event_micros: int
    last_event_micros: int
    metrics: tuple["Metric", ...]
    promoted_micros: int | None = None
    """When it was last promoted; None = never."""
    serving: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest says of its training: "recipe" (recipe.py), "ablation" (a list of
    additions, training/ablation.py), "base" (the version it went on from; empty = none) and
    "trials" (how many recipes were tried). Empty = trained by an older release."""
    verdict: Verdict | None = None
    """Of its newest evaluation; None = not evaluated."""
    verdict_summary: str = ""
    """Why."""
    compared_with: str = ""
    """The version that served when it was evaluated; empty = none, or not evaluated."""
    forced: bool = False
    """Whether its last promotion was forced."""
    pruned_micros: int | None = None
    """When its files were deleted; None = they are there."""


ROBOTS_METRIC = "robots"
"""Of a model: how many of its shoppers were taken for robots; left out where nobody was."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a model's quality."""

    name: str
    value: float
    sample_count: int
    """People it rests on."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a product is in the answer."""

    code: str
    parameters: tuple[tuple[str, str], ...]
    text: str


class HistoryReader(Protocol):
    """Reads what a shopper did."""

    async def history(self, catalog_id: str, actor: str, *, limit: int, with_seen: bool) -> History:
        """The shopper's history, at most `limit` recent events."""

    async def popularity(self, catalog_id: str, product_ids: Sequence[str]) -> Doubles:
        """For each product its share of the most popular one's count, 0 to 1."""

    async def most_popular(self, catalog_id: str, count: int) -> tuple[tuple[str, float], ...]:
        """The most popular products with that share, best first; ties by id."""


class Purger(Protocol):
    """Deletes events."""

    async def count(self, selection: Selection) -> PurgeCount:
        """How many events fit, and from when to when."""

    async def delete(self, selection: Selection, place: PurgePlace, limit: int) -> Purged:
        """Delete the next events that fit from `place` on, at most `limit` of them."""


class Models(Protocol):
    """The models that serve now."""

    def serving(self, catalog_id: str) -> Model | None:
        """The catalog's model; None = none is promoted, or none could be loaded."""

    def refused(self, catalog_id: str) -> bool:
        """Whether a model is promoted that can't be loaded."""

    def former(self, catalog_id: str) -> Model | None:
        """The one that served before it, whose products the index may still hold; None = there is
        none, or nobody searches the index for its products."""
