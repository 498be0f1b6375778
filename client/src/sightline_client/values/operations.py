"""Jobs, models, index generations and the state of the suite, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.answers import Freshness, SpaceVersion
from sightline_client.values.catalog import ImportState
from sightline_client.values.evaluation import EvaluationVerdict
from sightline_client.values.trainings import PartAddition, TrainingRecipe


class JobState(StrEnum):
    """State of a job."""

    UNKNOWN = "UNKNOWN"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


_ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Job:
    """A long-running operation, which continues after the call that started it."""

    job_id: str
    kind: str
    """"train", "backfill", …"""
    catalog: str
    state: JobState
    done: int
    """Units of work done, 0 to ``total``."""
    total: int
    """Units of work in total; 0 if not known yet."""
    error: SightlineError | None
    """Why it failed; `None` unless FAILED."""
    results: Mapping[str, str]
    """Results, e.g. {"model_version": "…"}; empty until it has succeeded."""
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in _ENDED


@dataclass(frozen=True, slots=True)
class Metric:
    """A quality figure of a model."""

    name: str
    """With its cut-off, e.g. "ndcg@10"."""
    value: float
    sample_count: int
    """Number of shoppers."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained ranking model."""

    model_version: str
    promoted: bool
    """True if it serves."""
    train_time: datetime | None
    promote_time: datetime | None
    event_count: int
    """Number of events in the training."""
    shopper_count: int
    product_count: int
    first_event_time: datetime | None
    last_event_time: datetime | None
    metrics: tuple[Metric, ...]
    verdict: EvaluationVerdict = EvaluationVerdict.UNKNOWN
    """Verdict of its newest evaluation; UNKNOWN if it was not evaluated."""
    verdict_summary: str = ""
    """Reasons for the verdict."""
    forced: bool = False
    """True if its last promotion was forced."""
    pruned: bool = False
    """True if its files were deleted: it can't be promoted."""
    recipe: TrainingRecipe | None = None
    """Recipe of its training; `None` for models of older releases."""
    seed: int = 0
    blend: Mapping[str, float] = field(default_factory=dict)
    """Weights of the parts of the raw score, to which the weights of a request are applied."""
    blend_learned_from: str = ""
    """"default", "validation" or "impressions"."""
    additions: tuple[PartAddition, ...] = ()
    """What each part adds; empty if it was not measured, or there were no events to measure it."""
    base_version: str = ""
    """Model from which the training continued; empty if none."""
    search_trial_count: int = 0
    """Number of recipes tried; 0 if none was searched."""


class GenerationState(StrEnum):
    """State of an index generation."""

    UNKNOWN = "UNKNOWN"
    BUILDING = "BUILDING"
    """It may lack photos that were stored before it was created."""
    READY = "READY"
    DROPPED = "DROPPED"


class IndexMetric(StrEnum):
    """Similarity of two vectors."""

    UNKNOWN = "UNKNOWN"
    COSINE = "COSINE"
    L2 = "L2"
    IP = "IP"
    """Inner product."""


class IndexKind(StrEnum):
    """Kind of index."""

    UNKNOWN = "UNKNOWN"
    FLAT = "FLAT"
    """Compares every vector: exact."""
    HNSW = "HNSW"
    """A graph: approximate, for large catalogs."""


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """Parameters of a generation's index; numbers are for HNSW only, 0: the suite's default."""

    kind: IndexKind = IndexKind.FLAT
    m: int = 0
    """Links of a node, 4 to 64."""
    ef_construction: int = 0
    """Candidates while building, 8 to 512."""
    ef: int = 0
    """Minimum number of candidates of a search, 1 to 32,768."""
    partitions: int = 0
    """Number of partitions by top-level category, 0 to 64, for FLAT and HNSW; 0 or 1: none."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Results of a generation's verification."""

    passed: bool
    findings: tuple[str, ...]
    """Faults, one sentence each."""
    sample_count: int
    """Number of photos that were embedded again from the stored bytes."""
    least_agreement: float
    """Smallest cosine between a stored vector and the new embedding, −1 to 1."""
    recall: float
    """Share of the exact nearest neighbours that the index finds, 0 to 1."""
    filtered_recall: float | None
    """The same recall under a filter; `None` if no suitable filter exists."""
    k: int
    """Number of neighbours searched."""
    record_count: int
    """Number of rows that the index should hold."""
    index_count: int
    """Number of rows in the index."""
    unsound_count: int
    """Number of vectors that are not finite or all zero."""
    end_time: datetime | None
    nearest_cosines: tuple[float, ...] = ()
    """Cosines below which 1%, 2%, 5%, 10%, 20% and 50% of the sampled photos have their nearest
    other product; () if not measured."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An index generation: a catalog's vectors in one version of a space, in one collection of the
    engine."""

    name: str
    space: str
    space_version: str
    dimension: int
    metric: IndexMetric
    parameters: IndexParameters
    state: GenerationState
    active: bool
    """True if searches use it."""
    previous: bool
    """True if a rollback would activate it."""
    indexed_count: int | None
    """Number of photos with a vector of its version."""
    pending_count: int | None
    """Number of photos that wait for their vector."""
    failed_count: int | None
    """Number of photos that could not be embedded."""
    verification: Verification | None
    """Newest verification; `None` if there was none."""
    create_time: datetime | None
    activate_time: datetime | None
    """When it was last activated; `None` if never."""
    forced: bool
    """True if its last activation was forced although it was not verified."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An administrative or destructive call, several rejected ones, or an alert of a watch."""

    entry_id: str
    time: datetime | None
    """Time at which the call ended, or the alert was stored."""
    caller: str
    """Name of the caller's key, or the ``sub`` of its token; "anyone": the gateway has no keys. Of
    an alert "watch:" and the watch."""
    method: str
    """E.g. "sightline.gateway.v1.AdminService/DropGeneration"; of an alert
    "watch.alert/RULE:started", or "ended"."""
    catalog: str
    code: str
    """gRPC status code of the result, e.g. "OK"."""
    reason: str
    """Reason of the error; "" if the call succeeded."""
    request_id: str
    """Id of the request in logs and jobs, or of the alert."""
    left_out: int
    """Number of similar rejected calls since the entry before that have no entry."""
    store: str
    """The service that stores it: "retriever" or "ranker"."""
    number: int
    """Position in the chain of its store and catalog, from 1; 0: it is not chained."""
    hash: bytes
    """Hash in the chain; empty if it is not chained."""


@dataclass(frozen=True, slots=True)
class AuditSeal:
    """A position in a chain of audit entries, and the hash there."""

    number: int
    """Number of the entry; 0: before the first one."""
    hash: bytes
    drop_time: datetime | None = None
    """When the entries up to it were dropped; `None`: they were not."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of a chain, oldest entry first; those that are not chained come first."""

    entries: tuple[AuditEntry, ...]
    seal: AuditSeal
    """Seal from which the chain continues."""


@dataclass(frozen=True, slots=True)
class AuditDrop:
    """Outcome of dropping audit entries."""

    dropped_count: int
    seal: AuditSeal
    """Seal from which the chain continues."""
    unfinished: bool
    """True if dropped entries are left to delete."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a catalog."""

    backup_id: str
    catalog: str
    """Catalog of the backup; "" if its manifest can't be read."""
    create_time: datetime | None
    """Time of the snapshot."""
    size: int
    """Size in bytes."""
    product_count: int
    image_count: int
    vector_count: int
    spaces: tuple[SpaceVersion, ...]
    """Index generations that were live."""
    service_version: str
    error: SightlineError | None
    """Why it can't be restored; `None` if its manifest is valid."""


@dataclass(frozen=True, slots=True)
class Takedown:
    """A takedown: a photo that may not be stored."""

    image_id: str
    reason: str
    """Reason as given; may be ""."""
    create_time: datetime | None
    """When it was taken down."""


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """Status of one part of the suite."""

    component: str
    """"gateway", "embedder", "triton", "retriever", "milvus", "ranker"."""
    error: SightlineError | None
    """Why it does not answer; `None` if it does."""
    latency: timedelta | None
    """Response time of the check."""
    version: str = ""
    """Release of the component; "" if unknown."""


@dataclass(frozen=True, slots=True)
class EmbedderSpace:
    """A version of a space that the embedder serves."""

    space: str
    version: str
    """"" until the model has answered."""
    model: str
    """E.g. "efficientnet_lite0"."""
    dimension: int
    """Length of its vectors; 0 until the model has answered."""
    ready: bool
    """True if the model answers now."""
    default: bool
    """True if this version embeds items that do not specify one."""


@dataclass(frozen=True, slots=True)
class RecallEstimate:
    """Recall of live searches of one kind in the last hour."""

    plan: str
    """"flat", "graph", "slices" or "exact"."""
    filter_class: str
    """Share of the catalog that passes the filter: "none" (no filter), "wide" (20% or more),
    "middle" or "narrow" (less than 1%)."""
    k: int
    """Median number of rows requested."""
    recall: float
    """0 to 1."""
    lower: float
    upper: float
    """Bounds of the estimate's 95% interval."""
    search_count: int
    row_count: int
    """Number of rows, of those that the watchdog compares, that the searches should have found."""
    below_floor: bool
    """True if ``upper`` is below the floor, which signals a fault."""
    ef_factor: float
    """Always 1; releases up to 0.5.6 multiplied ``ef`` by it."""


@dataclass(frozen=True, slots=True)
class Status:
    """Status of the suite. Counts are `None` while their owner does not answer."""

    components: tuple[ComponentStatus, ...]
    visual_space: SpaceVersion | None
    embedder_space_version: str
    """Default version in the embedder; differs from ``visual_space.version`` during a roll-out."""
    products: int | None
    indexed_images: int | None
    pending_images: int | None
    """Number of photos that wait for their embedding."""
    failed_images: int | None
    """Number of photos that could not be embedded."""
    freshness: Freshness | None
    model_version: str
    """Serving ranking model; "" if none."""
    scenes: tuple[str, ...]
    embedder_spaces: tuple[EmbedderSpace, ...] = ()
    """All versions of spaces that the embedder serves; empty if unknown, or with an older suite."""
    indexed_texts: int | None = 0
    pending_texts: int | None = 0
    """Number of products whose text waits for its embedding."""
    failed_texts: int | None = 0
    recall: tuple[RecallEstimate, ...] = ()
    """Estimated recall of searches in the visual space; empty if unknown."""
    advice: tuple[str, ...] = ()
    """Recommended actions after the catalog has outgrown its engine; empty if none."""
    scene_problems: tuple[str, ...] = ()
    """Invalid scene files, each with its problem: their former content stays in use."""

    @property
    def healthy(self) -> bool:
        """Every part answers."""
        return bool(self.components) and all(c.error is None for c in self.components)


@dataclass(frozen=True, slots=True)
class ProductPurge:
    """Products that are, or would be, deleted."""

    product_count: int
    sample_product_ids: tuple[str, ...]
    """Up to 20 of them."""
    job: Job | None
    """The job that deletes them; `None` if they were only counted."""


@dataclass(frozen=True, slots=True)
class EventPurge:
    """Events that are, or would be, deleted."""

    event_count: int
    first_event_time: datetime | None
    last_event_time: datetime | None
    job: Job | None
    """The job that deletes them; `None` if they were only counted."""


@dataclass(frozen=True, slots=True)
class ImportClose:
    """Products that a closed import deletes."""

    state: ImportState
    delete_count: int
    """Number of products that the import does not contain."""
    sample_product_ids: tuple[str, ...]
    """Up to 20 of them."""
    job: Job | None
    """The job that deletes them; `None` if there is nothing to delete, or with a dry run."""
