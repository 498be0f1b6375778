"""What each of the ranker's processes reads."""

from collections.abc import Iterator
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from ranker.domain.recipe import Recipe
from ranker.settings.recipe_file import RecipeFile, read_recipe
from ranker.settings.shared import (
    PREFIX,
    KeySettings,
    LogSettings,
    SignalSettings,
    StoreSettings,
)
from servicekit.backups.settings import BackupSettings
from servicekit.config import Catalogs, PeerSettings, ServerSettings
from servicekit.retention import JobSettings


class BackupCommandSettings(StoreSettings, SignalSettings, KeySettings, BackupSettings):
    """What `python -m ranker.backups` reads."""

    model_config = PREFIX


class RankerSettings(ServerSettings, StoreSettings, SignalSettings, KeySettings, LogSettings):
    model_config = PREFIX

    port: int = Field(default=8603, ge=0, le=65535)
    """Port for gRPC; 0 takes a free one."""

    create_key: bool = False
    """Whether a missing key file is made at the first start. For one machine only: replicas need
    the same key, and a generated key has no copy."""

    nominate_in_memory_items: int = Field(default=200_000, ge=0)
    """Products of a model up to which candidates come out of memory; of a larger one the gateway
    searches the index, where the worker published them (RANKER_PUBLISH)."""

    answer_days: float = Field(default=30.0, gt=0, le=3650)
    """How long the record of an answer is kept when it does not say so itself."""

    impression_share: float = Field(default=1.0, gt=0, le=1)
    """Of how many answers the impressions are stored, above 0 (none is no share), at most 1; whole
    answers are kept or left, and estimates weigh by 1 / share."""

    kafka_seconds: float = Field(default=5.0, ge=0.1, le=300)
    """How long the brokers may take to acknowledge events; then the call is answered with
    EVENT_LOG_UNAVAILABLE."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.create_key:
            name = self.variable("create_key")
            yield f"{name}: a generated key has no copy: make one, unset this"


class WorkerSettings(
    StoreSettings, SignalSettings, BackupSettings, LogSettings, JobSettings, PeerSettings
):
    """The worker's, and a training's."""

    model_config = PREFIX

    CALLED = ("retriever_target",)

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address that metrics are served on."""

    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for Prometheus metrics over HTTP; 0 turns them off."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Least level that is logged."""

    catalogs: Catalogs = ("default",)
    """The catalogs of this installation."""

    retriever_target: str = Field(default="127.0.0.1:8602", min_length=1)
    """gRPC target of the retriever: a training reads products from it, and models are published
    into its index."""

    publish: bool = False
    """Whether the model that serves is published into the retriever's `collaborative` space by
    itself, after each promotion and rollback."""

    auto_promote: bool = False
    """Whether each catalog that has events is trained once a night by itself, and the model
    promoted if its evidence is enough; what serves goes on otherwise."""

    auto_promote_hour: int = Field(default=3, ge=0, le=23)
    """From which hour of the day on (UTC)."""

    keep_models: int = Field(default=10, ge=2, le=1000)
    """How many trained models keep their files, and how many promotions can be rolled back to;
    those that serve or are in the index stay in any case. Others are pruned after each training."""

    lease_seconds: float = Field(default=30.0, ge=1, le=3600)
    """After how long without a sign of life a job is another worker's."""

    poll_seconds: float = Field(default=0.5, gt=0, le=60)
    """How often the worker looks for a job."""

    count_seconds: float = Field(default=0.2, gt=0, le=60)
    """How often the worker looks for events that are not counted yet for the recommenders by
    counts, and for counted products whose category and price it does not know."""

    count_refresh_seconds: float = Field(default=900.0, ge=1, le=7 * 86_400)
    """After how long the worker asks the retriever again for a counted product's category and
    price."""

    kafka_group: str = Field(default="sightline-ranker", min_length=1, max_length=249)
    """The group of consumers that this record's workers are. Another record that reads the same
    topic needs another one."""

    event_days: float = Field(default=0.0, ge=0, le=36500)
    """After how many days events are deleted, by their own time; 0 = never. HIDE and UNHIDE are
    wishes and stay."""

    impression_days: float = Field(default=0.0, ge=0, le=36500)
    """The same for impressions, of which there are most; 0 = as RANKER_EVENT_DAYS says."""

    sweep_seconds: float = Field(default=60.0, gt=0, le=86400)
    """How often the worker looks for events, records of answers and jobs that are too old."""

    health_seconds: float = Field(default=3600.0, ge=0, le=7 * 86_400)
    """How often feedback is looked at for drift and estimates; 0 = never."""

    health_days: int = Field(default=7, ge=1, le=90)
    """The last so many whole days are the present, in looking for drift. Whole weeks are best:
    weekdays differ."""

    health_reference_days: int = Field(default=28, ge=7, le=365)
    """So many days before them are the reference."""


class TrainSettings(WorkerSettings):
    """What a training reads beside what the worker does."""

    model_config = PREFIX

    recipe_file: Annotated[RecipeFile, NoDecode, BeforeValidator(read_recipe)] = Field(
        default=cast(Any, ""), validate_default=True
    )
    """TOML file with the recipe of trainings: services/ranker/recipe.toml has every key with its
    default. None: these defaults. What a call of TrainModel gives counts before it."""

    @property
    def training(self) -> dict[str, Any]:
        """Return what a training goes by where its job says nothing, as parameters of jobs."""
        file = self.recipe_file
        return {
            "recipe": self.recipe.json(),
            "search_trials": file.search_trials,
            "search_seconds": file.search_seconds,
            "ablation": file.ablation,
        }

    @property
    def recipe(self) -> Recipe:
        """Return the recipe of the file, with the settings by which events are read."""
        return self.recipe_file.recipe(self.signals)
