"""Changes of the files of all kept models of a catalog, by one process at a time: a change deletes
files that the record does not name.
"""

import asyncio
from collections.abc import Callable

from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import ModelCorrupt, ModelsBusy
from ranker.domain.model import ModelRecord
from ranker.record.models import ModelRegistry
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease, worker_id
from servicekit.tasks.supervision import first_raised

LEASE_SECONDS = 120.0
"""Longer than the rewriting of a model takes."""
WAIT_SECONDS = 0.5

Change = Callable[[ModelRecord], str | None]
"""Writes a model's files anew, and returns the SHA-256 of their manifest; `None`: unchanged.
Blocking."""


class KeptModels:
    """Models of a catalog whose files exist."""

    def __init__(self, database: Database, store: ModelStore) -> None:
        self.registry, self.store = ModelRegistry(database), store
        self._database, self._owner = database, worker_id("models")

    async def change(self, catalog_id: str, change: Change) -> int:
        """Change all kept models, newest first. Return the number of changed ones. Raise
        ModelsBusy, StoreUnwritable, and ModelCorrupt after the change of the others."""
        lease = Lease(self._database, f"models of {catalog_id}", self._owner, LEASE_SECONDS)
        while not await lease.acquire():  # noqa: ASYNC110 - held by another process
            await asyncio.sleep(WAIT_SECONDS)
        try:
            changed = 0
            with first_raised(ModelCorrupt) as item:
                for model in await self.registry.with_files(catalog_id):
                    if not await lease.renew():
                        raise ModelsBusy
                    with item():
                        changed += await self._one(model, change)
            return changed
        finally:
            await lease.release()

    async def _one(self, model: ModelRecord, change: Change) -> bool:
        digest = await asyncio.to_thread(change, model)
        if digest is not None:
            await self.registry.rewritten(model, digest)
        current = (model.catalog_id, model.version, digest or model.manifest_sha256)
        await asyncio.to_thread(self.store.tidy, *current)
        return digest is not None
