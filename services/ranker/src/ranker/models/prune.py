"""Deletes the files of models that newer ones took the place of.

Kept are the newest models, the serving one and those that rollbacks lead to, and those whose
products are in the index. The rows of the others stay, as what the log of promotions names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from ranker.models.collaborative import CollaborativeIndex
from servicekit.telemetry import get_logger

Mark = Callable[[str, int, Collection[str], int], Awaitable[Sequence[str]]]
"""(catalog, newest to keep, versions to spare, now) marks the models whose files are to be deleted
and that serve never again; their versions."""
Delete = Callable[[str, str], bool]
"""(catalog, version) deletes a model's files, blocking; whether there were any."""


async def prune(
    catalog_id: str,
    keep: int,
    mark: Mark,
    delete: Delete,
    index: CollaborativeIndex,
    *,
    now_micros: int,
) -> None:
    """Delete what is not needed, however often this is cut short. Raises what `index` does: while
    nobody can say what is published, everything stays."""
    published = {one.version for one in await index.generations(catalog_id) if one.live}
    for version in await mark(catalog_id, keep, published, now_micros):
        if await asyncio.to_thread(delete, catalog_id, version):
            get_logger().info("model pruned", catalog_id=catalog_id, model_version=version)
