"""Removal of erased shoppers from models.

A shopper's own vector is removed from the files of every kept model. What a model learned from all
shoppers stays until a training after the erasure replaces it.
"""

import asyncio
from collections.abc import Callable

from ranker.adapters.model_store import ModelStore
from ranker.domain import personal_data
from ranker.domain.erasure import ErasedStore, Person
from ranker.domain.errors import ModelsBusy
from ranker.domain.events import DAY_MICROS
from ranker.domain.model import ModelRecord
from ranker.events.record.models import ModelRegistry
from servicekit.leases import Lease, worker_id
from servicekit.sql import Database

LEASE_SECONDS = 120.0
"""Longer than the rewriting of a model takes."""
WAIT_SECONDS = 0.5


class ForgetInModels:
    """Removal of shoppers from the models of a catalog, by one process at a time: it deletes files
    that the record does not name."""

    def __init__(self, database: Database, store: ModelStore, unlearn_days: float = 0.0) -> None:
        """`unlearn_days`: days within which models that learned from a shopper have to be
        replaced."""
        self._database, self._store = database, store
        self._registry = ModelRegistry(database)
        self._owner, self._unlearn_days = worker_id("forget"), unlearn_days

    async def __call__(self, person: Person) -> ErasedStore:
        """Erase a person from all kept models. Raise ModelCorrupt, StoreUnwritable."""
        changed = await self.all_of(person.catalog_id, frozenset(person.actors).__contains__)
        if not changed:
            return ErasedStore(personal_data.MODELS.name)
        due = person.requested_micros + int(self._unlearn_days * DAY_MICROS)
        text = (
            "The shopper's vector is removed. What models learned from all shoppers, this one"
            " included, stays until a later training replaces them: promote one by this time."
        )
        return ErasedStore(personal_data.MODELS.name, changed, due, text)

    async def all_of(self, catalog_id: str, is_erased: Callable[[str], bool]) -> int:
        """Remove shoppers from all kept models of a catalog. Return the number of models that had
        any. `is_erased` is given a pseudonym. Raise ModelCorrupt, StoreUnwritable."""
        lease = Lease(self._database, f"models of {catalog_id}", self._owner, LEASE_SECONDS)
        while not await lease.acquire():  # noqa: ASYNC110 - held by another process
            await asyncio.sleep(WAIT_SECONDS)
        try:
            changed = 0
            for model in await self._registry.with_files(catalog_id):
                if not await lease.renew():
                    raise ModelsBusy
                changed += await self._one(model, is_erased)
            return changed
        finally:
            await lease.release()

    async def _one(self, model: ModelRecord, is_erased: Callable[[str], bool]) -> bool:
        digest = await asyncio.to_thread(self._store.without, *model.key, is_erased)
        if digest is not None:
            await self._registry.rewritten(model, digest)
        current = (model.catalog_id, model.version, digest or model.manifest_sha256)
        await asyncio.to_thread(self._store.tidy, *current)
        return digest is not None
