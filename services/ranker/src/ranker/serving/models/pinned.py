"""Models that requests name, because their scenes pin them: loaded on first use.

Requests do not wait for a model: until it is loaded the promoted one answers. One model is loaded
at a time, and few are kept, so that wrong names and many scenes cause only occasional reads.
"""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from ranker.domain.errors import ModelCorrupt, ModelNotFound
from ranker.domain.model import Model
from servicekit.catalogs.known import CatalogChange
from servicekit.telemetry import get_logger

MOST = 2
"""Maximum number per catalog."""
AGAIN_SECONDS = 5.0
"""Seconds until a model that could not be loaded is tried again."""
BUSY_SECONDS = 10.0
"""Seconds after its last use during which a model is not evicted: otherwise three in turn would be
loaded all the time."""
IDLE_SECONDS = 600.0
"""Seconds after its last use until a model is dropped."""

Key: TypeAlias = tuple[str, str]
"""Catalog and version."""


class PinnedModels:
    """The pinned models in memory."""

    def __init__(
        self,
        load: Callable[[str, str], Awaitable[Model]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load`: (catalog, version) to model, off the event loop; ModelNotFound, ModelCorrupt."""
        self._load, self._clock = load, clock
        self._held: dict[Key, tuple[float, Model]] = {}
        """With the time of last use, least recent first."""
        self._refused: dict[Key, float] = {}
        """End of the waiting time, by model."""
        self._task: asyncio.Task[None] | None = None

    def get(self, catalog_id: str, version: str) -> Model | None:
        """Return the model if it is loaded, else start loading it and return None."""
        key, now = (catalog_id, version), self._clock()
        if key in self._held:
            _, model = self._held.pop(key)
            self._held[key] = now, model
            return model
        free = self._task is None or self._task.done()
        if free and self._refused.get(key, now) <= now:
            # In a separate context: it belongs to no request and has no deadline.
            context = contextvars.Context()
            self._task = asyncio.create_task(self._take(key), context=context)
        return None

    @property
    def held(self) -> Mapping[Key, Model]:
        """The models in memory."""
        return {key: model for key, (_, model) in self._held.items()}

    def drop(self, catalog_id: str, version: str = "") -> None:
        """Drop a model, or all of a catalog, which are loaded again when they are requested."""
        self._held = {
            key: one
            for key, one in self._held.items()
            if key[0] != catalog_id or version not in {"", key[1]}
        }

    def follow(self, change: CatalogChange) -> None:
        """Drop the models of catalogs that are no longer in use, or were replaced, and the one that
        is being loaded, which may be of them."""
        for catalog_id in change.removed:
            self.drop(catalog_id)
        if change.removed and self._task is not None:
            self._task.cancel()

    def tidy(self) -> None:
        """Drop models that are no longer requested."""
        now = self._clock()
        self._held = {key: one for key, one in self._held.items() if now - one[0] < IDLE_SECONDS}
        self._refused = {key: until for key, until in self._refused.items() if now < until}

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self, key: Key) -> None:
        log = get_logger().bind(catalog_id=key[0], model_version=key[1])
        others = [each for each in self._held if each[0] == key[0]]
        oldest = others[0] if len(others) >= MOST else None
        if oldest and self._clock() - self._held[oldest][0] < BUSY_SECONDS:
            self._refused[key] = self._clock() + AGAIN_SECONDS
            log.warning("pinned model not loaded", problem=f"{MOST} others are in use")
            return
        try:
            model = await self._load(*key)
        except (ModelNotFound, ModelCorrupt) as error:
            log.warning("pinned model not found", problem=error.message)
            self._refused[key] = self._clock() + AGAIN_SECONDS
        except Exception:
            log.warning("pinned model unreadable", exc_info=True)
            self._refused[key] = self._clock() + AGAIN_SECONDS
        else:
            if oldest:
                self._held.pop(oldest, None)
            self._held[key] = self._clock(), model
            log.info("pinned model loaded")
