"""Jobs, models, index generations and the state of the suite, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.answers import Freshness, SpaceVersion
from sightline_client.values.catalog import ImportState
from sightline_client.values.evaluation import EvaluationVerdict
from sightline_client.values.methods import JobMethods, StatusMethods
from sightline_client.values.trainings import PartAddition, TrainingRecipe


class JobState(StrEnum):
    """State of a job."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    PENDING = "PENDING"
    """Waiting for a worker."""
    RUNNING = "RUNNING"
    """Running in a worker."""
    SUCCEEDED = "SUCCEEDED"
    """Succeeded; see ``results``."""
    FAILED = "FAILED"
    """Failed; see ``error``."""
    CANCELLED = "CANCELLED"
    """Cancelled on request."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A quality figure of a model."""

    name: str
    """Name with cut-off, e.g. "ndcg@10"."""
    value: float
    """Value. The name implies its unit and range."""
    sample_count: int
    """Number of shoppers."""


class GenerationState(StrEnum):
    """State of a generation."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    BUILDING = "BUILDING"
    """It may lack photos that were stored before it was created."""
    READY = "READY"
    """A backfill has ended, or it was the catalog's first."""
    DROPPED = "DROPPED"
    """Deleted; listed for information."""


class IndexMetric(StrEnum):
    """Similarity metric of vectors."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    COSINE = "COSINE"
    """Cosine of the angle, −1 to 1."""
    L2 = "L2"
    """Euclidean distance."""
    IP = "IP"
    """Inner product."""


class IndexKind(StrEnum):
    """Kind of index."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    FLAT = "FLAT"
    """Compares every vector. Exact, also with a filter; the time grows with the catalog. For up to
    about 10,000 photos of 1,280 dimensions on Milvus Lite, 100,000 on a server."""
    HNSW = "HNSW"
    """A graph (HNSW): approximate, for larger catalogs. See SearchResponse.plan for searches with a
    filter."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One audited call, or several rejected calls of a caller to a method: the caller, the method
    and the result. Or an alert of a watch, which no caller made."""

    entry_id: str
    """UUID version 7; sorts by time."""
    time: datetime | None
    """When the call ended, or the alert was stored (UTC)."""
    caller: str
    """The caller: name of its key, or ``sub`` of its token. "anyone" if authentication is off. Of
    an alert "watch:" and the id of the watch."""
    method: str
    """Method, e.g. "AdminService/``drop_generation``". Of an alert "watch.alert/", the rule, ":"
    and "started" or "ended"."""
    catalog: str
    """Catalog that the request named. "?" if it is not declared, or was not read before the call
    was rejected."""
    code: str
    """gRPC status code of the result, e.g. "OK", "PERMISSION_DENIED". After "CANCELLED" and
    "DEADLINE_EXCEEDED" the change may have been made."""
    reason: str
    """Reason of the error, e.g. "ROLE_MISSING". Empty if the call succeeded."""
    request_id: str
    """Id of the request in logs and jobs. Of an alert its ``alert_id``."""
    left_out: int
    """Number of rejected calls without an entry of their own: calls of the same caller to the same
    method and catalog since the previous entry. Rejected calls get one entry per minute, which
    describes the last of them. Default: 0."""
    store: str
    """Store of the entry: "retriever" or "ranker". Set in responses of the gateway."""
    number: int
    """Position in the chain of its store and catalog, from 1. 0 if the entry is not chained:
    release 0.16 or earlier stored it."""
    hash: bytes
    """Hash in the chain, 32 bytes: SHA-256 of these values as netstrings: the previous entry's hash
    (32 zero bytes before number 1), number, entry_id, time (microseconds since 1970), caller,
    method, catalog_id, code, reason, request_id and left_out. Numbers are written in decimal
    digits. Empty if the entry is not chained."""


@dataclass(frozen=True, slots=True)
class AuditSeal:
    """A position in a chain and the hash of the entry there, which covers all entries before it."""

    number: int
    """Number of the entry. 0: before the first entry."""
    hash: bytes
    """Hash of the entry, 32 bytes. 32 zero bytes for number 0."""
    drop_time: datetime | None = None
    """When the entries up to this position were deleted (UTC). None if they were not."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup, as described by its manifest."""

    backup_id: str
    """Id: creation time and a random suffix, "20260131T120000Z-1f3a9c02". Sorts by time."""
    catalog: str
    """Catalog of the backup."""
    create_time: datetime | None
    """Time of the snapshot (UTC)."""
    size: int
    """Size of all its files in bytes."""
    product_count: int
    """Number of products."""
    image_count: int
    """Number of photos in the record. Photos whose files were lost are not in the backup."""
    vector_count: int
    """Number of vectors of all spaces and versions."""
    spaces: tuple[SpaceVersion, ...]
    """Index generations that were live, with the versions of their spaces."""
    service_version: str
    """Version of the service that wrote the backup."""
    error: SightlineError | None
    """Code 0 if the manifest is valid. Otherwise the error; only id and size are then known. The
    other files are checked on restore."""


@dataclass(frozen=True, slots=True)
class EmbedderSpace:
    """A version of a space that the embedder serves."""

    space: str
    """Name of the space, e.g. "visual"."""
    version: str
    """Version. Empty until the model has answered."""
    model: str
    """Model of the space, e.g. "efficientnet_lite0"."""
    dimension: int
    """Length of its vectors. 0 until the model has answered."""
    ready: bool
    """True if the model answers now."""
    default: bool
    """True if items without a version are embedded with this one."""


@dataclass(frozen=True, slots=True)
class RecallEstimate:
    """Estimated recall of recent live searches. The retriever's watchdog compares a sample of the
    searches with an exact search in a random subset of the index."""

    plan: str
    """Search plan: "flat", "graph", "slices" or "exact"."""
    filter_class: str
    """Share of the catalog that passes the filter: "none" (no filter), "wide" (20% or more),
    "middle" or "narrow" (less than 1%)."""
    k: int
    """Median number of rows requested."""
    recall: float
    """Estimated recall, 0 to 1: share found of the rows that are nearer than the last row
    returned."""
    lower: float
    """Lower bound of the 95% interval, 0 to 1."""
    upper: float
    """Upper bound of the 95% interval, 0 to 1."""
    search_count: int
    """Number of searches in the estimate."""
    row_count: int
    """Number of rows of the subset that these searches should have found, summed over the
    searches."""
    below_floor: bool
    """True if ``upper`` is below RETRIEVER_WATCH_FLOOR after at least 20 searches."""
    ef_factor: float
    """Always 1: the watchdog changes no search. Releases up to 0.5.6 multiplied ef by this factor
    after rows were missed."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that an import rejected."""

    import_id: str
    row_number: int
    """Number of the row in the import, 1 or more."""
    product_id: str
    """Id of the row's product. Empty if the id itself was rejected."""
    error: SightlineError | None
    """Why the row was rejected, as ``import_products`` answered."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of a verification."""

    passed: bool
    """True if the generation may be activated."""
    findings: tuple[str, ...]
    """Faults, one sentence each. Empty if it passed."""
    sample_count: int
    """Number of photos that were embedded again from the stored bytes."""
    least_agreement: float
    """Smallest cosine between a stored vector and the new embedding, −1 to 1."""
    recall: float
    """Share of the exact nearest neighbours that the index finds, at ``k``, 0 to 1."""
    filtered_recall: float | None
    """The same recall under a filter that about a tenth of the catalog passes. None if there is no
    such filter."""
    k: int
    """Number of neighbours searched."""
    record_count: int
    """Number of rows that the index should hold: one for each photo of each product with a vector
    of the version."""
    index_count: int
    """Number of rows in the engine."""
    unsound_count: int
    """Number of vectors that are not finite or all zero."""
    end_time: datetime | None
    """When it ended (UTC)."""
    nearest_cosines: tuple[float, ...] = ()
    """Distribution of the similarity of good matches: cosines, −1 to 1, below which 1%, 2%, 5%,
    10%, 20% and 50% of the sampled photos have their nearest photo of another product, without
    variants and equal pictures. Empty if not measured: fewer than 20 such photos, a metric other
    than the cosine, or an older release."""


@dataclass(frozen=True, slots=True)
class CallerQuota:
    """A quota of a caller in a catalog."""

    kind: str
    """What it limits: "calls", "writes", "decode_seconds", "processor_seconds" or "visitors"."""
    rate: float
    """Amount a second, with the catalog's share."""
    most: float
    """Amount that may be used at once after a pause."""
    available: float
    """Amount that may be used now. Negative: more was used."""


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """State of one component."""

    component: str
    """"gateway", "embedder", "triton", "retriever", "milvus", "ranker" or, where there are cameras,
    "vision"."""
    error: SightlineError | None
    """Code 0 if the component answers, otherwise the error."""
    latency: timedelta | None
    """Response time of the check."""
    version: str = ""
    """Release of the component, e.g. "0.14.0". Empty if unknown: an engine, or a service that does
    not answer or predates this field."""


@dataclass(frozen=True, slots=True)
class Takedown:
    """A takedown: a photo that may not be stored."""

    image_id: str
    """Id of the photo."""
    reason: str
    """Reason, as given."""
    create_time: datetime | None
    """When the photo was taken down (UTC)."""


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """Parameters of the engine's index."""

    kind: IndexKind = IndexKind.FLAT
    """Kind of index. Default: flat."""
    m: int = 0
    """HNSW: number of links of a node, 4 to 64. Default: 16."""
    ef_construction: int = 0
    """HNSW: number of candidates while building the graph, 8 to 512. Default: 200."""
    ef: int = 0
    """HNSW: minimum number of candidates of a search, 1 to 32,768. Default: 128. A search for more
    products, or with a filter that few products pass, uses more."""
    partitions: int = 0
    """Number of partitions by top-level category, 0 to 64. 0 or 1: no partitions. A search whose
    filter names categories reads their partitions only; any other search reads all partitions and
    takes longer. Useful if most searches name a category of a large catalog."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of a chain."""

    entries: tuple[AuditEntry, ...]
    """Entries that are not chained, by id, then chained ones, by number."""
    seal: AuditSeal
    """Newest seal: the chain continues from it. Number 0 if nothing was deleted."""


@dataclass(frozen=True, slots=True)
class AuditDrop:
    """Response after entries were deleted."""

    dropped_count: int
    """Number of entries that this call deleted."""
    seal: AuditSeal
    """The seal from which the chain continues."""
    unfinished: bool
    """True if entries before the seal are left: repeat the call. They no longer belong to the
    chain."""


@dataclass(frozen=True, slots=True)
class Job(JobMethods):
    """A long-running operation, which continues after the call that started it."""

    job_id: str
    """Id, prefixed with the service that owns the job: "ranker/…", "retriever/…" or "vision/…"."""
    kind: str
    """Kind: "train", "publish", "backfill", …; JobKind lists all kinds and who may see and cancel
    jobs of each."""
    catalog: str
    """Catalog of the job."""
    state: JobState
    """State of the job."""
    done: int
    """Units of work done, 0 to ``total``. The unit depends on the kind (train: epochs)."""
    total: int
    """Units of work in total. 0 if not known yet."""
    error: SightlineError | None
    """Why the job failed. Set only with FAILED."""
    results: Mapping[str, str]
    """Results, e.g. {"model_version": "…"}; empty until it has succeeded."""
    create_time: datetime | None
    """When the job was created (UTC)."""
    start_time: datetime | None
    """When a worker first started it (UTC). None before that."""
    end_time: datetime | None
    """When it ended (UTC). None before that."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model."""

    model_version: str
    """Version: a hash of the artefact."""
    promoted: bool
    """True if it serves."""
    train_time: datetime | None
    """When it was trained (UTC)."""
    promote_time: datetime | None
    """When it was last promoted (UTC). None if never."""
    event_count: int
    """Number of events in the training."""
    shopper_count: int
    """Number of shoppers in the training."""
    product_count: int
    """Number of products in the model."""
    first_event_time: datetime | None
    """Time of the oldest event in the training (UTC)."""
    last_event_time: datetime | None
    """Time of the newest event in the training (UTC)."""
    metrics: tuple[Metric, ...]
    """Quality of its ranking on events held out in time."""
    verdict: EvaluationVerdict = EvaluationVerdict.UNKNOWN
    """Verdict of its newest evaluation. UNKNOWN if it was not evaluated."""
    verdict_summary: str = ""
    """Reasons for the verdict, in English sentences. Empty if it was not evaluated."""
    forced: bool = False
    """True if its last promotion was forced."""
    pruned: bool = False
    """True if its files were deleted: it can't be promoted."""
    recipe: TrainingRecipe | None = None
    """Recipe, after search and ablation. None for models of older releases."""
    seed: int = 0
    """Seed of the training."""
    blend: Mapping[str, float] = field(default_factory=dict)
    """Weights of the parts of the raw score, to which the weights of a request are applied."""
    blend_learned_from: str = ""
    """Source of these weights: "default", "validation" or "impressions"."""
    additions: tuple[PartAddition, ...] = ()
    """Contribution of each part. Empty if it was not measured, or if there were no events to
    measure it."""
    base_version: str = ""
    """Model from which the training continued. Empty if none."""
    search_trial_count: int = 0
    """Number of recipes tried. 0 if none was searched."""


@dataclass(frozen=True, slots=True)
class Status(StatusMethods):
    """The state of the suite."""

    components: tuple[ComponentStatus, ...]
    """State of gateway, embedder, triton, retriever, milvus and ranker, each as seen by the service
    that calls it."""
    visual_space: SpaceVersion | None
    """Visual space that both the embedder and the index serve."""
    embedder_space_version: str
    """Default version of the visual space in the embedder. It differs from ``visual_space`` after a
    roll-out until the embedder lists the new model first, and while a new default waits for its
    roll-out."""
    products: int | None
    """Number of products in the record; -1 if unknown."""
    indexed_images: int | None
    """Number of photos in the index; -1 if unknown."""
    pending_images: int | None
    """Number of photos that wait for their embedding; -1 if unknown."""
    failed_images: int | None
    """Number of photos that could not be embedded; -1 if unknown."""
    freshness: Freshness | None
    """Lag of the index behind the catalog. None if unknown."""
    model_version: str
    """Serving ranking model. Empty if none."""
    scenes: tuple[str, ...]
    """Names of the available scenes."""
    embedder_spaces: tuple[EmbedderSpace, ...] = ()
    """All versions of spaces that the embedder serves, in its order: the versions that can be
    rolled out. Empty if unknown."""
    indexed_texts: int | None = 0
    """Number of products whose text is in the text index; 0 in a catalog without one; -1 if
    unknown."""
    pending_texts: int | None = 0
    """Number of products whose text waits for its vector; 0 in a catalog without a text index; -1
    if unknown."""
    failed_texts: int | None = 0
    """Number of products whose text could not be embedded; 0 in a catalog without a text index; -1
    if unknown."""
    quotas: tuple[CallerQuota, ...] = ()
    """Quotas of the caller in this catalog, in the gateway's process that answers; other callers
    have as large ones. Empty: there are none."""
    recall: tuple[RecallEstimate, ...] = ()
    """Estimated recall of searches in the visual space during the last hour, by plan and class of
    filter, as measured by the watchdog of one retriever replica. ``below_floor`` signals a fault.
    Empty if unknown."""
    advice: tuple[str, ...] = ()
    """Recommended actions after the catalog has outgrown its engine, one human-readable line each.
    Empty if none."""
    scene_problems: tuple[str, ...] = ()
    """invalid scene files, each with its problem: their former content stays in use."""


@dataclass(frozen=True, slots=True)
class ProductPurge:
    """Products that are, or would be, deleted."""

    product_count: int
    """Number of products that pass the filter."""
    sample_product_ids: tuple[str, ...]
    """Ids of up to 20 of these products."""
    job: Job | None
    """With ``force``: the job that deletes them. Follow it with ``watch_job``."""


@dataclass(frozen=True, slots=True)
class EventPurge:
    """Events that are, or would be, deleted."""

    event_count: int
    """Number of events that meet the conditions."""
    first_event_time: datetime | None
    """Time of the oldest one (UTC). None if there are none."""
    last_event_time: datetime | None
    """Time of the newest one (UTC). None if there are none."""
    job: Job | None
    """With ``force``: the job that deletes them. Follow it with ``watch_job``."""


@dataclass(frozen=True, slots=True)
class ImportClose:
    """Result of closing an import."""

    state: ImportState
    """Progress of the import."""
    delete_count: int
    """Number of products that the import does not contain and that are, or would be, deleted."""
    sample_product_ids: tuple[str, ...]
    """Ids of up to 20 of these products."""
    job: Job | None
    """The job that deletes them. None if there is nothing to delete, or with ``dry_run``."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An index generation."""

    name: str
    """Name, unique in its catalog, e.g. "visual-3f9a1b22c4d1-1"."""
    space: str
    """Name of the space, e.g. "visual"."""
    space_version: str
    dimension: int
    """Length of its vectors."""
    metric: IndexMetric
    """Similarity metric."""
    parameters: IndexParameters
    """Parameters of its index."""
    state: GenerationState
    """State of the generation."""
    active: bool
    """True if searches without a generation use it."""
    previous: bool
    """True if ``rollback_generation`` would activate it."""
    indexed_count: int | None
    """Number of photos with a vector of its version; −1 if unknown."""
    pending_count: int | None
    """Number of photos that wait for their embedding; −1 if unknown."""
    failed_count: int | None
    """Number of photos that could not be embedded; −1 if unknown."""
    verification: Verification | None
    """Newest verification. None if none."""
    create_time: datetime | None
    """When it was created (UTC)."""
    activate_time: datetime | None
    """When it was last activated (UTC). None if never."""
    forced: bool
    """True if its last activation was forced although it was not verified."""
