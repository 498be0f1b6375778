"""What each of the ranker's processes reads."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ranker.domain.recipe import RANGES, ItemItem, Loss, Recipe
from ranker.settings.shared import (
    PREFIX,
    BackupPlace,
    KeySettings,
    LogSettings,
    SignalSettings,
    StoreSettings,
)
from servicekit.config import Catalogs, PeerSettings, ServerSettings
from servicekit.retention import JobSettings

RECIPE = Recipe()


class BackupSettings(StoreSettings, SignalSettings, KeySettings, BackupPlace):
    """What `python -m ranker.backup` reads."""

    model_config = PREFIX


class RankerSettings(ServerSettings, StoreSettings, SignalSettings, KeySettings, LogSettings):
    model_config = PREFIX

    port: int = Field(default=8603, ge=0, le=65535)
    """Port for gRPC; 0 takes a free one."""

    create_key: bool = False
    """Whether a missing key file is made at the first start. For one machine only: replicas need
    the same key, and a key that appears by itself is a key that nobody has a copy of."""

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
            yield f"{name}: nobody has a copy of a key that appears by itself: make one, unset this"


class WorkerSettings(
    StoreSettings, SignalSettings, BackupPlace, LogSettings, JobSettings, PeerSettings
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


def _ranged(name: str, default: float) -> Any:
    """A number of the recipe, of which recipe.py says the least and the most."""
    least, most = RANGES[name]
    return Field(default=default, ge=least, le=most)


class TrainSettings(WorkerSettings):
    """A training's own: the recipe, as far as TrainModel does not say otherwise."""

    model_config = PREFIX

    train_attributes: tuple[str, ...] = RECIPE.attribute_keys
    """Keys of the text attributes that become features of a product, as `a,b,c`."""

    train_loss: Loss = RECIPE.loss
    """What LightFM minimises: warp (the best for the first places of a list), bpr, or logistic,
    which also learns from what people hide and rate low."""

    train_dimension: int = _ranged("dimension", RECIPE.dimension)
    """Length of the vectors. 30 on MovieLens-100k; longer ones help from millions of events."""

    train_epochs: int = _ranged("epochs", RECIPE.epochs)
    """Passes over all interests."""

    train_max_sampled: int = _ranged("max_sampled", RECIPE.max_sampled)
    """How many products WARP tries to find one that it ranks wrongly."""

    train_learning_rate: float = _ranged("learning_rate", RECIPE.learning_rate)
    """Step of Adagrad."""

    train_item_alpha: float = _ranged("item_alpha", RECIPE.item_alpha)
    """L2 penalty on features of products."""

    train_user_alpha: float = _ranged("user_alpha", RECIPE.user_alpha)
    """L2 penalty on features of shoppers."""

    train_threads: int = _ranged("threads", RECIPE.threads)
    """Threads of LightFM. With 1 the same data give the same model bit for bit; with more it is
    faster, and another model each time."""

    train_user_ids: bool = RECIPE.user_ids
    """Whether each shopper has a feature of their own, beside those of their given attributes."""

    train_style_dimension: int = _ranged("style_dimension", RECIPE.style_dimension)
    """Length of the visual style, learned from the products' photos; 0 = none."""

    train_style_scale: float = _ranged("style_scale", RECIPE.style_scale)
    """How much photos say of products that nobody likes yet; 1 = as it was learned, 0 = nothing."""

    train_shared_scale: float = _ranged("shared_scale", RECIPE.shared_scale)
    """How large the features are that products share, such as a brand, where the id is 1."""

    train_item_item: ItemItem = RECIPE.item_item
    """How products that go together are learned: transition, ease, knn or off."""

    train_transition_penalty: float = _ranged("transition_penalty", RECIPE.transition_penalty)
    """The transitions' λ."""

    train_ease_penalty: float = _ranged("ease_penalty", RECIPE.ease_penalty)
    """EASE's λ."""

    train_neighbours: int = _ranged("neighbours", RECIPE.neighbours)
    """Most products that are kept of those that go with a product."""

    train_together_support: int = _ranged("together_support", RECIPE.together_support)
    """Least baskets that two products must share to count as bought together."""

    train_search_trials: int = Field(default=0, ge=0, le=10_000)
    """Recipes that are tried on a validation split before a model is trained; 0 = none but this."""

    train_search_seconds: float = Field(default=3600.0, gt=0, le=7 * 86400)
    """After how long no further one is tried."""

    train_ablation: bool = True
    """Whether a training finds out what each part adds, and turns off what adds nothing. It takes
    up to five more fits."""

    @property
    def training(self) -> dict[str, Any]:
        """What a training goes by as far as its job does not say otherwise, in the words of its
        parameters."""
        return {
            "recipe": self.recipe.json(),
            "search_trials": self.train_search_trials,
            "search_seconds": self.train_search_seconds,
            "ablation": self.train_ablation,
        }

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            **{name: getattr(self, f"train_{name}") for name in RANGES},
            loss=self.train_loss,
            user_ids=self.train_user_ids,
            item_item=self.train_item_item,
            attribute_keys=self.train_attributes,
            signals=self.signals,
        )
