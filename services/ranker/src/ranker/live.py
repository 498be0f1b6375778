"""Keeps the promoted models at hand and swaps them while requests run.

A request takes the model once and keeps it to its end, so that a swap never touches it. A model
that can't be loaded leaves the one before it serving.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ranker.model import Model, ModelCorrupt, ModelRecord
from servicekit.telemetry import get_logger

INTERVAL_SECONDS = 0.5
"""How often the record is asked; a promotion is served within twice that and the loading time."""


class Promotions(Protocol):
    """Says which models are promoted."""

    async def promoted(self, catalogs: Sequence[str]) -> Mapping[str, ModelRecord]:
        """The promoted model of each catalog that has one."""


LoadModel = Callable[[str, str, str], Model]
"""(catalog, version, SHA-256 of the manifest) to model, blocking; ModelCorrupt when it is bad."""


class LiveModels:
    """The models that serve now, one a catalog."""

    def __init__(self, catalogs: Sequence[str], promotions: Promotions, load: LoadModel) -> None:
        self._catalogs = tuple(catalogs)
        self._promotions = promotions
        self._load = load
        self._serving: dict[str, Model] = {}
        self._refused: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()

    def serving(self, catalog_id: str) -> Model | None:
        """The catalog's model; None = none is promoted, or none could be loaded."""
        return self._serving.get(catalog_id)

    async def refresh(self) -> None:
        """Load what was promoted since the last look and swap it in."""
        async with self._refreshing:  # or a slow look could put an older model back
            for catalog_id, record in (await self._promotions.promoted(self._catalogs)).items():
                current = self._serving.get(catalog_id)
                if current is None or current.version != record.version:
                    await self._swap(catalog_id, record)

    async def _swap(self, catalog_id: str, record: ModelRecord) -> None:
        try:
            model = await asyncio.to_thread(
                self._load, catalog_id, record.version, record.manifest_sha256
            )
        except ModelCorrupt as error:
            if self._refused.get(catalog_id) != record.version:
                get_logger().error(
                    "model refused", model_version=record.version, problem=error.message
                )
            self._refused[catalog_id] = record.version
            return
        self._serving[catalog_id] = model
        self._refused.pop(catalog_id, None)
        get_logger().info("model serving", model_version=record.version)

    async def start(self) -> None:
        """Look once, then keep looking until `stop`. A failed look is logged and repeated."""
        await self._look()
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            await self.refresh()
        except Exception:
            get_logger().warning("promotions unreadable", exc_info=True)
