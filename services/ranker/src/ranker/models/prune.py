"""Deletes the files of models that newer ones took the place of.

Kept are the newest models, the serving one and those that rollbacks lead to, and those whose
products are in the index. The rows of the others stay, as what the log of promotions names.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from ranker.models.publish import PublishIndex
from servicekit.telemetry import get_logger


class Registry(Protocol):
    """Marks models."""

    async def prune(
        self, catalog_id: str, keep: int, spared: Collection[str], now_micros: int
    ) -> Sequence[str]:
        """The versions whose files are to be deleted; they serve never again."""


class Files(Protocol):
    """Holds models. Blocking."""

    def delete(self, catalog_id: str, version: str) -> bool:
        """Delete a model's files; whether there were any."""


async def prune(
    catalog_id: str,
    keep: int,
    registry: Registry,
    files: Files,
    index: PublishIndex,
    *,
    now_micros: int,
) -> None:
    """Delete what is not needed, however often this is cut short. Raises what `index` does: while
    nobody can say what is published, everything stays."""
    published = {one.version for one in await index.generations(catalog_id) if one.live}
    for version in await registry.prune(catalog_id, keep, published, now_micros):
        if await asyncio.to_thread(files.delete, catalog_id, version):
            get_logger().info("model pruned", catalog_id=catalog_id, model_version=version)
