"""State of one call, shared by its steps."""

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter

from embedder.domain.items import ItemOutcome, Priority
from embedder.domain.photos import PhotoView, PreparedPhoto
from embedder.domain.recipes import PhotoRecipe
from servicekit.admission.fair_permits import Party
from servicekit.errors import ServiceError
from servicekit.telemetry import Stages

EMBEDDED = Counter("sightline_embedded", "Embedded items, by model.", ("space", "model"))


async def side_by_side(parts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines concurrently until all have ended. A single one runs without a task, which
    saves 10 µs."""
    parts = list(parts)
    if len(parts) == 1:
        return await parts[0]
    async with asyncio.TaskGroup() as tasks:
        for part in parts:
            tasks.create_task(part)
    return None


@dataclass(slots=True)
class EmbedCall:
    """One call, and the outcomes of its items so far."""

    party: Party
    """For whom: callers and catalogs take turns."""
    priority: Priority
    stages: Stages
    outcomes: dict[int, ItemOutcome]
    """Outcome by the item's position."""
    photos: int = 0
    """Photos of shoppers, and addresses of some."""
    pixels: int = 0
    """Pixels of those whose headers were read."""
    decoded: dict[tuple[bytes, PhotoRecipe, PhotoView], asyncio.Task[PreparedPhoto]] = field(
        default_factory=dict
    )
    """Decoding tasks, by photo, recipe and view."""

    @property
    def catalog(self) -> str:
        """The catalog of the call."""
        return self.party.catalog

    def lose(self, places: Iterable[int], error: ServiceError) -> None:
        """Set the error of these items."""
        self.outcomes.update(dict.fromkeys(places, error))
