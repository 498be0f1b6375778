"""Deletes the files of models that newer ones took the place of.

Kept are the newest models, the serving one and those that rollbacks lead to, and those whose
products are in the index. The rows of the others stay, as what the log of promotions names.
"""

import asyncio

from ranker.adapters.collaborative import CollaborativeIndex
from ranker.adapters.model_store import ModelStore
from ranker.record.models import ModelRegistry
from servicekit.errors import ServiceError
from servicekit.jobs import now_micros
from servicekit.telemetry import get_logger


async def prune(
    registry: ModelRegistry,
    store: ModelStore,
    index: CollaborativeIndex,
    keep: int,
    catalog_id: str,
) -> None:
    """Delete what is not needed, however often this is cut short. While nobody can say what is
    published everything stays, until after the next training."""
    log = get_logger().bind(catalog_id=catalog_id)
    try:
        published = {one.version for one in await index.generations(catalog_id) if one.live}
        for version in await registry.prune(catalog_id, keep, published, now_micros()):
            if await asyncio.to_thread(store.delete, catalog_id, version):
                log.info("model pruned", model_version=version)
    except (ServiceError, OSError) as error:
        log.warning("models not pruned", problem=str(error))
