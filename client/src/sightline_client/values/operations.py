"""Jobs, models, index generations and the state of the suite, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.answers import Freshness, SpaceVersion
from sightline_client.values.catalog import ImportState
from sightline_client.values.evaluation import Verdict
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
    """Long work that runs on after the call that started it."""

    job_id: str
    kind: str
    """"train", "backfill", …"""
    catalog: str
    state: JobState
    done: int
    """Units of work done, 0 to ``total``."""
    total: int
    """Units of work in all; 0 = not known yet."""
    error: SightlineError | None
    """Why it failed; None unless FAILED."""
    results: Mapping[str, str]
    """What it made, e.g. {"model_version": "…"}; empty before it has succeeded."""
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in _ENDED


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a model's quality."""

    name: str
    """With its cut-off, e.g. "ndcg@10"."""
    value: float
    sample_count: int
    """How many people it rests on."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained ranking model."""

    model_version: str
    promoted: bool
    """It is the serving one."""
    train_time: datetime | None
    promote_time: datetime | None
    event_count: int
    """Events it was trained on."""
    shopper_count: int
    product_count: int
    first_event_time: datetime | None
    last_event_time: datetime | None
    metrics: tuple[Metric, ...]
    verdict: Verdict = Verdict.UNKNOWN
    """Of its newest evaluation; UNKNOWN = it was not evaluated."""
    verdict_summary: str = ""
    """Why."""
    forced: bool = False
    """Whether its last promotion was forced."""
    pruned: bool = False
    """Its files were deleted: it can't be promoted."""
    recipe: TrainingRecipe | None = None
    """How it was trained; None = by an older release."""
    seed: int = 0
    blend: Mapping[str, float] = field(default_factory=dict)
    """How much each part of the raw score counts, before the weights of a request."""
    blend_learned_from: str = ""
    """"default", "validation" or "impressions"."""
    additions: tuple[PartAddition, ...] = ()
    """What each part adds; empty = it was not asked for, or there were no events to tell by."""
    base_version: str = ""
    """The model that it went on from; empty = none."""
    search_trial_count: int = 0
    """How many recipes were tried; 0 = none was searched."""


class GenerationState(StrEnum):
    """State of an index generation."""

    UNKNOWN = "UNKNOWN"
    BUILDING = "BUILDING"
    """It may lack photos that the catalog held before it was created."""
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
    """Search method of the engine."""

    UNKNOWN = "UNKNOWN"
    FLAT = "FLAT"
    """Every vector is compared: exact."""
    HNSW = "HNSW"
    """By a graph: approximate, for many."""


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """Search parameters of a generation; the numbers apply to HNSW only, 0 = the suite's
    default."""

    kind: IndexKind = IndexKind.FLAT
    m: int = 0
    """Links of a node, 4 to 64."""
    ef_construction: int = 0
    """Candidates while building, 8 to 512."""
    ef: int = 0
    """Least candidates of a search, 1 to 32,768."""
    partitions: int = 0
    """Parts by top category, 0 to 64, of FLAT and HNSW; 0 or 1 = one for all."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Results of a generation's verification."""

    passed: bool
    findings: tuple[str, ...]
    """What is wrong, one sentence each."""
    sample_count: int
    """Photos that were embedded again from the stored bytes."""
    least_agreement: float
    """Least cosine of a stored vector and the one embedded again, −1 to 1."""
    recall: float
    """Share of the exact nearest neighbours that the index finds, 0 to 1."""
    filtered_recall: float | None
    """The same under a filter; None = none passes a part of the catalog."""
    k: int
    """Neighbours that were asked for."""
    record_count: int
    """Rows that the index should hold."""
    index_count: int
    """Rows that it holds."""
    unsound_count: int
    """Vectors that are not finite or all zero."""
    end_time: datetime | None
    nearest_cosines: tuple[float, ...] = ()
    """Below which cosines 1%, 2%, 5%, 10%, 20% and 50% of the sampled photos have their nearest
    other product; () = not measured."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A catalog's vectors of one version of a space, in one collection of the engine."""

    name: str
    space: str
    space_version: str
    dimension: int
    metric: IndexMetric
    parameters: IndexParameters
    state: GenerationState
    active: bool
    """Searches use it."""
    previous: bool
    """A rollback would make it active."""
    indexed_count: int | None
    """Photos that have a vector of its version."""
    pending_count: int | None
    """Photos that wait for theirs."""
    failed_count: int | None
    """Photos that could not be embedded."""
    verification: Verification | None
    """The newest one; None = there was none."""
    create_time: datetime | None
    activate_time: datetime | None
    """When it was last made active; None = never."""
    forced: bool
    """Its last activation was forced past its verification."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An administrative or destructive call."""

    entry_id: str
    time: datetime | None
    """When it had ended."""
    caller: str
    """Name of the caller's key, or the ``sub`` of its token; "anyone": the gateway has no keys."""
    method: str
    """E.g. "sightline.gateway.v1.AdminService/DropGeneration"."""
    catalog: str
    code: str
    """The gRPC status code that it ended with, "OK" = it went well."""
    reason: str
    """The reason of its error; "" = it went well."""
    request_id: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a catalog."""

    backup_id: str
    catalog: str
    """The catalog it is of; "" when its manifest can't be read."""
    create_time: datetime | None
    """The moment whose state it holds."""
    size: int
    """Bytes."""
    product_count: int
    image_count: int
    vector_count: int
    spaces: tuple[SpaceVersion, ...]
    """The index generations that were live."""
    service_version: str
    error: SightlineError | None
    """Why it can't be restored; None = its manifest is sound."""


@dataclass(frozen=True, slots=True)
class Takedown:
    """A photo that may not be stored."""

    image_id: str
    reason: str
    """As it was given; may be ""."""
    create_time: datetime | None
    """When it was taken down."""


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """Status of one part of the suite."""

    component: str
    """"gateway", "embedder", "triton", "retriever", "milvus", "ranker"."""
    error: SightlineError | None
    """Why it does not answer; None = it does."""
    latency: timedelta | None
    """How long its answer took."""
    version: str = ""
    """The release that it is of; "" = not known."""


@dataclass(frozen=True, slots=True)
class EmbedderSpace:
    """A version of a space that the embedder serves."""

    space: str
    version: str
    """"" = the model has not answered yet."""
    model: str
    """E.g. "efficientnet_lite0"."""
    dimension: int
    """Components of its vectors; 0 = not known yet."""
    ready: bool
    """An item would be embedded now."""
    default: bool
    """Items that name no version are embedded with it."""


@dataclass(frozen=True, slots=True)
class RecallEstimate:
    """Recall of live searches of one kind in the last hour."""

    plan: str
    """"flat", "graph", "slices" or "exact"."""
    filter_class: str
    """What their filters pass: "none" (no filter), "wide" (20% and more), "middle" or "narrow"
    (less than 1%)."""
    k: int
    """The middle one of how many rows they were asked for."""
    recall: float
    """0 to 1."""
    lower: float
    upper: float
    """Ends of the estimate's 95% interval."""
    search_count: int
    row_count: int
    """Rows that they should have found, of those that the watchdog compares with."""
    below_floor: bool
    """Whether something is wrong: even ``upper`` is below the floor."""
    ef_factor: float
    """By what the watchdog multiplies their ``ef`` now; 1 = it leaves it."""


@dataclass(frozen=True, slots=True)
class Status:
    """Status of the suite. A count is None while its owner does not answer."""

    components: tuple[ComponentStatus, ...]
    visual_space: SpaceVersion | None
    embedder_space_version: str
    """What the embedder serves; differs from ``visual_space.version`` during a roll-out."""
    products: int | None
    indexed_images: int | None
    pending_images: int | None
    """Photos pending embedding."""
    failed_images: int | None
    """Photos that could not be embedded."""
    freshness: Freshness | None
    model_version: str
    """The serving model; "" = none."""
    scenes: tuple[str, ...]
    embedder_spaces: tuple[EmbedderSpace, ...] = ()
    """Every version of a space that the embedder serves; empty = not known, or an older suite."""
    indexed_texts: int | None = 0
    pending_texts: int | None = 0
    """Products whose text is pending embedding."""
    failed_texts: int | None = 0
    recall: tuple[RecallEstimate, ...] = ()
    """Of searches of the visual space; empty = nothing is known yet."""
    advice: tuple[str, ...] = ()
    """What to do as the catalog has outgrown its engine; empty = nothing."""

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
    """Deletes them; None = they were only counted."""


@dataclass(frozen=True, slots=True)
class EventPurge:
    """Events that are, or would be, deleted."""

    event_count: int
    first_event_time: datetime | None
    last_event_time: datetime | None
    job: Job | None
    """Deletes them; None = they were only counted."""


@dataclass(frozen=True, slots=True)
class ImportClose:
    """Products that a closed import deletes."""

    state: ImportState
    delete_count: int
    """Products that the import did not hold."""
    sample_product_ids: tuple[str, ...]
    """Up to 20 of them."""
    job: Job | None
    """Deletes them; None = there is nothing to delete, or it was only asked."""
