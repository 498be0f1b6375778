"""Jobs, models and the state of the suite, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.answers import Freshness, SpaceVersion
from sightline_client.catalogue import ImportState
from sightline_client.errors import SightlineError


class JobState(StrEnum):
    """Where a job stands."""

    UNKNOWN = "UNKNOWN"
    """A state that this client is too old to know."""
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


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a catalogue in one file."""

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
class ComponentStatus:
    """How one part of the suite is."""

    component: str
    """"gateway", "embedder", "triton", "retriever", "milvus", "ranker"."""
    error: SightlineError | None
    """Why it does not answer; None = it does."""
    latency: timedelta | None
    """How long its answer took."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the suite is. A count of None is not known, because its owner does not answer."""

    components: tuple[ComponentStatus, ...]
    visual_space: SpaceVersion | None
    embedder_space_version: str
    """What the embedder serves; differs from ``visual_space.version`` during a roll-out."""
    products: int | None
    indexed_images: int | None
    pending_images: int | None
    """Photos that wait for their vector."""
    failed_images: int | None
    """Photos that could not be embedded."""
    freshness: Freshness | None
    model_version: str
    """The serving model; "" = none."""
    scenes: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Every part answers."""
        return bool(self.components) and all(c.error is None for c in self.components)


@dataclass(frozen=True, slots=True)
class ProductPurge:
    """What is, or would be, deleted."""

    product_count: int
    sample_product_ids: tuple[str, ...]
    """Up to 20 of them."""
    job: Job | None
    """Deletes them; None = they were only counted."""


@dataclass(frozen=True, slots=True)
class ImportClose:
    """What an ended import deletes."""

    state: ImportState
    delete_count: int
    """Products that the import did not hold."""
    sample_product_ids: tuple[str, ...]
    """Up to 20 of them."""
    job: Job | None
    """Deletes them; None = there is nothing to delete, or it was only asked."""
