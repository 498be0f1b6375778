"""The promoted models in memory, swapped while requests run.

A request takes the model once and uses it to its end. If a model can't be loaded, the previous one
keeps serving. Beside them are the models that requests name.
"""

import asyncio
import time
from collections.abc import Callable, Collection

from prometheus_client import Gauge

from ranker.domain.errors import ModelCorrupt
from ranker.domain.model import ROBOTS_METRIC, Model, ModelRecord
from ranker.record.models import ModelRegistry
from ranker.serving.models.pinned import PinnedModels
from ranker.serving.ranking.parts import by_columns
from servicekit.catalogs.known import CatalogChange
from servicekit.tasks.supervision import confined, pause, supervised
from servicekit.telemetry import get_logger

INTERVAL_SECONDS = 0.5
"""Minimum seconds between two reads of the record; a promotion takes effect within twice that plus
the loading time."""
MODELS = "promotions"
"""Name for servicekit.tasks.supervision."""
LATEST_SECONDS = 10.0
"""Maximum seconds between two reads where commits are reported (servicekit.sql.database)."""

ROBOTS = Gauge(
    "sightline_robot_shoppers",
    "Number of shoppers classified as robots in the serving model's training.",
    ("catalog",),
)
FIGURES = Gauge(
    "sightline_model_figure",
    "Figures of the serving model's training, such as coverage@10 and ndcg@10.",
    ("catalog", "figure"),
)
MOST_CATALOG_LABELS = 20
"""Number of catalogs above which metrics omit both labels, because each label value is a permanent
series."""


COLUMNS_FROM = 5_000
"""Number of products from which a model's vectors are also kept by component; not for models whose
products are searched in the index."""

LoadModel = Callable[[str, str, str], Model]
"""(catalog, version, SHA-256 of the manifest): loads a model, blocking; raises ModelCorrupt."""


class LiveModels:
    """The serving models: one per catalog and, if the index is searched for its products, the
    previous one until another promotion. See ports.Models."""

    def __init__(
        self,
        catalogs: Collection[str],
        promotions: ModelRegistry,
        load: LoadModel,
        in_memory_items: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        commits: Callable[[], asyncio.Event | None] = lambda: None,
    ) -> None:
        """`in_memory_items`: number of products up to which the previous model is not kept.
        `commits`: that of the record (servicekit.sql.database)."""
        self._catalogs = catalogs
        self._promotions = promotions
        self._load = load
        self._in_memory_items = in_memory_items
        self._serving: dict[str, Model] = {}
        self._former: dict[str, Model] = {}
        self._refused: dict[str, str] = {}
        self._commits = commits
        self._pinned = PinnedModels(self._named, clock)
        self._task: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()

    def serving(self, catalog_id: str) -> Model | None:
        return self._serving.get(catalog_id)

    def refused(self, catalog_id: str) -> bool:
        return catalog_id in self._refused

    def former(self, catalog_id: str) -> Model | None:
        return self._former.get(catalog_id)

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        for known in (self._serving.get(catalog_id), self._former.get(catalog_id)):
            if known is not None and known.version == version:
                return known
        return self._pinned.get(catalog_id, version)

    def follow(self, change: CatalogChange) -> None:
        """Take the models of catalogs that are no longer in use, or were replaced, out of service;
        those of new ones are loaded at the next look."""
        self._pinned.follow(change)
        for catalog_id in change.removed:
            if catalog_id in self._serving:
                self._drop(catalog_id)

    async def refresh(self) -> bool:
        """Load models promoted since the last read and swap them in. Return whether it worked for
        all catalogs whose records could be read."""
        async with self._refreshing:  # otherwise a slow read could restore an older model
            promoted = await self._promotions.promoted(list(self._catalogs))
            for catalog_id in self._serving.keys() - promoted.keys():
                self._drop(catalog_id)
            for catalog_id in self._refused.keys() - promoted.keys():
                del self._refused[catalog_id]
            readable = {name: one for name, one in promoted.items() if one is not None}
            for catalog_id, record in list(readable.items()):
                with confined(MODELS, catalog=catalog_id):
                    await self._follow(catalog_id, record)
                    del readable[catalog_id]
            with confined(MODELS, models="beside the serving ones"):
                await self._renew()
            return not readable

    async def _renew(self) -> None:
        """Drop models beside the serving ones whose files were written again, without shoppers who
        were erased; load the former ones anew."""
        held = {(catalog_id, one.version): one for catalog_id, one in self._former.items()}
        held |= self._pinned.held
        known = await self._promotions.manifests(held) if held else {}
        for key, model in held.items():
            if model.manifest_sha256 in {"", known.get(key)}:
                continue
            self._pinned.drop(*key)
            if self._former.get(key[0]) is model:
                del self._former[key[0]]
                former = await self._before(key[0], self._serving[key[0]])
                if former is not None:
                    self._former[key[0]] = former

    async def _follow(self, catalog_id: str, record: ModelRecord) -> None:
        current = self._serving.get(catalog_id)
        if current is None or not _is_of(current, record):
            await self._swap(catalog_id, record)

    def _drop(self, catalog_id: str) -> None:
        model = self._serving.pop(catalog_id)
        self._former.pop(catalog_id, None)
        get_logger().info("model out of service", model_version=model.version)

    async def _swap(self, catalog_id: str, record: ModelRecord) -> None:
        try:
            model = await self._ready(record)
        except ModelCorrupt as error:
            if self._refused.get(catalog_id) != record.version:
                get_logger().error(
                    "model refused", model_version=record.version, problem=error.message
                )
            self._refused[catalog_id] = record.version
            return
        former = await self._before(catalog_id, model)
        self._serving[catalog_id] = model
        if former is None:
            self._former.pop(catalog_id, None)
        else:
            self._former[catalog_id] = former
        self._refused.pop(catalog_id, None)
        if len(self._catalogs) <= MOST_CATALOG_LABELS:
            robots = (one.value for one in record.metrics if one.name == ROBOTS_METRIC)
            ROBOTS.labels(catalog_id).set(next(robots, 0.0))
            for one in record.metrics:
                FIGURES.labels(catalog_id, one.name).set(one.value)
        get_logger().info("model serving", model_version=record.version)

    async def _before(self, catalog_id: str, model: Model) -> Model | None:
        """Return the model that served before this one, None if there is none or it can't be
        loaded."""
        if len(model.item_ids) <= self._in_memory_items:
            return None
        record = None
        with confined(MODELS, catalog=catalog_id, model="former"):
            record = await self._promotions.former(catalog_id, model.version)
        if record is None:
            return None
        for known in (self._serving.get(catalog_id), self._former.get(catalog_id)):
            if known is not None and _is_of(known, record):
                return known
        try:
            return await self._loaded(record)
        except ModelCorrupt as error:
            get_logger().warning(
                "previous model not kept", model_version=record.version, problem=error.message
            )
            return None

    async def _named(self, catalog_id: str, version: str) -> Model:
        """Return the model of a version. Raise ModelNotFound, ModelCorrupt."""
        return await self._ready(await self._promotions.get(catalog_id, version))

    async def _ready(self, record: ModelRecord) -> Model:
        """Return the model prepared for requests. Raise ModelCorrupt."""
        model = await self._loaded(record)
        if COLUMNS_FROM <= len(model.item_ids) <= self._in_memory_items:
            model = await asyncio.to_thread(by_columns, model)
        return model

    async def _loaded(self, record: ModelRecord) -> Model:
        return await asyncio.to_thread(self._load, *record.key)

    async def start(self) -> None:
        """Refresh once, then periodically until `stop`. A failed refresh is logged and repeated."""
        await self._look()
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._pinned.stop()

    async def _watch(self) -> None:
        commits, read = self._commits(), False

        async def look() -> None:
            nonlocal read
            await pause(INTERVAL_SECONDS, commits if read else None, LATEST_SECONDS)
            read = False
            self._pinned.tidy()
            read = await self._look()

        await supervised(MODELS, look)

    async def _look(self) -> bool:
        """Return whether there is nothing to try again."""
        read = False
        with confined(MODELS):
            read = await self.refresh()
        return read


def _is_of(model: Model, record: ModelRecord) -> bool:
    """Return whether a loaded model was read from the files that are recorded."""
    return model.version == record.version and model.manifest_sha256 in {
        "",
        record.manifest_sha256,
    }
