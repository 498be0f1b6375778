"""Promotion and retention of models.

A model is promoted if its evaluation passed, or by force. The files of these models are kept:
the newest ones, the serving one and those that a rollback leads to, those in the index, and those
that answered within the last day, because scenes may pin them. The rows of all models are kept for
the log of promotions.
"""

import asyncio

from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import CollaborativeIndex
from ranker.domain.errors import ModelUnproven
from ranker.domain.model import ModelRecord, ModelVerdict
from ranker.record.models import ModelRegistry
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger

DAY_MICROS = 86_400 * 1_000_000
FORCE = "promote it with force to override"


def require_proof(model: ModelRecord, serving: ModelRecord | None) -> None:
    """Raise ModelUnproven unless the model serves, or its evaluation against that one passed."""
    serves = serving.version if serving else ""
    if model.version == serves:
        return
    if model.verdict is None:
        raise ModelUnproven(f"the model was not evaluated: evaluate it, or {FORCE}")
    if model.verdict is not ModelVerdict.PASSED:
        summary = model.verdict_summary
        raise ModelUnproven(f"the evidence is {model.verdict}; {FORCE}. {summary}")
    if model.compared_with != serves:
        compared = model.compared_with or "popularity alone"
        raise ModelUnproven(
            f"this model passed against {compared}, and {serves or 'no model'} serves now:"
            f" evaluate it again, or {FORCE}"
        )


async def prune(
    registry: ModelRegistry,
    store: ModelStore,
    index: CollaborativeIndex,
    keep: int,
    catalog_id: str,
) -> None:
    """Delete models that are not needed; safe to interrupt and repeat. While it is unknown which
    models are published, all stay until after the next training."""
    log = get_logger().bind(catalog_id=catalog_id)
    try:
        needed = {one.version for one in await index.generations(catalog_id) if one.live}
        now = now_micros()
        needed |= await registry.answering(catalog_id, now - DAY_MICROS)
        for version in await registry.prune(catalog_id, keep, needed, now):
            if await asyncio.to_thread(store.delete, catalog_id, version):
                log.info("model pruned", model_version=version)
    except (ServiceError, OSError) as error:
        log.warning("models not pruned", problem=str(error))
