"""Settings of each of the ranker's processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from ranker.domain.events import StoredAs
from ranker.domain.recipe import Recipe
from ranker.settings.recipe_file import RecipeFile, read_recipe
from ranker.settings.shared import (
    PREFIX,
    FloorSettings,
    KeySettings,
    LogSettings,
    NightSettings,
    SignalSettings,
    StoreSettings,
)
from servicekit.artefacts.backup_settings import BackupSettings
from servicekit.config import Catalogs, PeerSettings, ServerSettings
from servicekit.processes.background import Priority
from servicekit.sql.retention import AuditSettings, JobSettings


class BackupCommandSettings(StoreSettings, SignalSettings, KeySettings, BackupSettings):
    """Settings of `python -m ranker.backups`."""

    model_config = PREFIX


class RankerSettings(
    ServerSettings,
    StoreSettings,
    SignalSettings,
    KeySettings,
    LogSettings,
    AuditSettings,
    FloorSettings,
    NightSettings,
):
    model_config = PREFIX

    port: int = Field(default=8603, ge=0, le=65535)
    """Port for gRPC. 0: a free port."""

    retriever_target: str = ""
    """gRPC target of the retriever, whose registry has the catalogs that were created at run time.
    Empty: there are none."""

    catalogs_file: Path | None = None
    """File that keeps their list, for a start while the retriever can't be read. `None`: it is read
    anew."""

    create_key: bool = False
    """If true, creates a missing key file at the first start. For a single machine only: replicas
    need the same key, and a generated key has no copy."""

    nominate_in_memory_items: int = Field(default=200_000, ge=0)
    """Number of a model's products up to which candidates are computed in memory. For larger models
    the gateway searches the index, into which the worker publishes them (RANKER_PUBLISH)."""

    answer_days: float = Field(default=30.0, gt=0, le=3650)
    """Days for which an answer's record is kept, unless the record sets its own expiry."""

    impression_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the shoppers whose impressions are stored, above 0, at most 1: all of a shopper's or
    none. Counts of impressions are weighted by 1 / share."""

    stored_queries: StoredAs = StoredAs.PLAIN
    """How words of SEARCH events are stored: `plain`, `hashed` with the key of the pseudonyms, or
    `dropped`. Shoppers type names and addresses into searches."""

    stored_order_ids: StoredAs = StoredAs.PLAIN
    """The same for order ids. Hashed ones still tell which products were bought together; without
    them, products bought on the same day count as one order."""

    privacy_epsilon: float = Field(default=3.0, ge=0, le=1000)
    """Budget of a catalog for counts with differential privacy: sum of the epsilon of all
    ExportCounts calls within RANKER_PRIVACY_DAYS. 0: none is allowed. The same for all replicas."""

    privacy_days: float = Field(default=365.0, gt=0, le=36500)
    """Days after which an expense of this budget ends."""

    kafka_seconds: float = Field(default=5.0, ge=0.1, le=300)
    """Seconds that the brokers have to acknowledge events; then the call fails with
    EVENT_LOG_UNAVAILABLE."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.create_key:
            name = self.variable("create_key")
            yield f"{name}: a generated key has no copy: make one, unset this"


class WorkerSettings(
    StoreSettings,
    SignalSettings,
    BackupSettings,
    LogSettings,
    JobSettings,
    PeerSettings,
    FloorSettings,
    NightSettings,
):
    """Settings of the worker and of trainings."""

    model_config = PREFIX

    CALLED = ("retriever_target",)

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address on which metrics are served."""

    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP. 0 disables them."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Minimum level of log lines."""

    catalogs: Catalogs = ("default",)
    """Catalogs of this installation that need no registry."""

    catalogs_file: Path | None = None
    """File that keeps the list of catalogs created at run time, for a start while the retriever
    can't be read. May be that of the server. `None`: it is read anew."""

    retriever_target: str = Field(default="127.0.0.1:8602", min_length=1)
    """gRPC target of the retriever, from which trainings read products and into whose index models
    are published."""

    publish: bool = False
    """If true, the serving model is published into the retriever's `collaborative` space after each
    promotion and rollback."""

    training_priority: Priority = Priority.IDLE
    """Priority of trainings and evaluations: `idle` (only while a core is free), `low` or `normal`.
    On a machine that is always busy an `idle` training does not end."""

    keep_models: int = Field(default=10, ge=2, le=1000)
    """Number of trained models whose files are kept, and of promotions that can be rolled back.
    Models that serve or are in the index are kept in any case. Others are pruned after each
    training."""

    unlearn_days: float = Field(default=30.0, ge=0, le=365)
    """Days after the erasure of a shopper within which models that learned from the shopper are
    replaced: the receipt names the day. In the last three nights a model is trained, and promoted
    if its evaluation passes; at the end it is promoted unless its evaluation failed."""

    lease_seconds: float = Field(default=30.0, ge=1, le=3600)
    """Seconds without a heartbeat after which another worker takes over a job."""

    poll_seconds: float = Field(default=0.5, gt=0, le=60)
    """Minimum seconds between two checks for jobs. On PostgreSQL the idle worker checks so often;
    on SQLite on Linux it waits for a commit."""

    count_seconds: float = Field(default=0.2, gt=0, le=60)
    """Minimum seconds between two checks for events that are not counted yet for the recommenders
    by counts, and for counted products with unknown category and price; see poll_seconds."""

    count_refresh_seconds: float = Field(default=900.0, ge=1, le=7 * 86_400)
    """Seconds after which the worker reads a counted product's category and price from the
    retriever again."""

    kafka_group: str = Field(default="sightline-ranker", min_length=1, max_length=249)
    """Consumer group of this record's workers. Another record that reads the same topic needs
    another group."""

    event_days: float = Field(default=0.0, ge=0, le=36500)
    """Days after which events are deleted, by their own time. 0: never. HIDE and UNHIDE are not
    deleted."""

    impression_days: float = Field(default=0.0, ge=0, le=36500)
    """Days after which impressions are deleted, the most frequent events. 0: as RANKER_EVENT_DAYS.
    """

    data_key_days: float = Field(default=90.0, gt=0, le=3650)
    """Days after which the worker makes a new data key and encrypts all texts again. Without
    encryption it is not used."""

    export_days: float = Field(default=0.0, ge=0, le=36500)
    """Days after which exports are deleted from RANKER_EXPORT_STORE, since they were requested. 0:
    never. Keep them no longer than their events (RANKER_EVENT_DAYS)."""

    sweep_seconds: float = Field(default=60.0, gt=0, le=86400)
    """Seconds between two searches for expired events, records of answers and jobs."""

    health_seconds: float = Field(default=3600.0, ge=0, le=7 * 86_400)
    """Seconds between two computations of drift and estimates. 0: never."""

    health_days: int = Field(default=7, ge=1, le=90)
    """Number of last whole days that are compared in drift detection. Use whole weeks, because
    weekdays differ."""

    health_reference_days: int = Field(default=28, ge=7, le=365)
    """Number of days before them that are the reference."""


class TrainSettings(WorkerSettings):
    """Settings of a training, in addition to the worker's."""

    model_config = PREFIX

    recipe_file: Annotated[RecipeFile, NoDecode, BeforeValidator(read_recipe)] = Field(
        default=cast(Any, ""), validate_default=True
    )
    """TOML file with the recipe of trainings: services/ranker/recipe.toml has every key with its
    default. `None`: these defaults. Parameters of a TrainModel call take precedence."""

    @property
    def training(self) -> dict[str, Any]:
        """Return the default parameters of training jobs."""
        keys = self.recipe_file.keys
        return {
            "recipe": self.recipe.json(),
            "search_trials": keys.search_trials,
            "search_seconds": keys.search_seconds,
            "ablation": keys.ablation,
        }

    @property
    def recipe(self) -> Recipe:
        """Return the recipe of the file, with the settings for weighting events."""
        return self.recipe_file.recipe(self.signals)
