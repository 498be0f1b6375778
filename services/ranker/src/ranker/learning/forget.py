"""Removal of erased shoppers' vectors from models.

A shopper's own vector is removed from the files of every kept model at once. What a model sums up
from all shoppers' events is subtracted at night (training/unlearn.py), and what LightFM learned
from them stays until a training after the erasure replaces the model (workers/unlearning.py).
"""

from collections.abc import Callable, Collection

from ranker.adapters.model_store import ModelStore
from ranker.domain import personal_data
from ranker.domain.erasure import ErasedStore, Person
from ranker.domain.events import DAY_MICROS
from ranker.learning.kept_models import KeptModels
from servicekit.sql.database import Database


class ForgetInModels:
    """Removal of shoppers' vectors from the models of a catalog."""

    def __init__(self, database: Database, store: ModelStore, unlearn_days: float = 0.0) -> None:
        """`unlearn_days`: days within which models that learned from a shopper have to be
        replaced."""
        self._models, self._unlearn_days = KeptModels(database, store), unlearn_days

    async def __call__(self, person: Person) -> ErasedStore:
        """Erase a person from all kept models. Raise ModelCorrupt, StoreUnwritable."""
        catalog_id, name = person.catalog_id, personal_data.MODELS.name
        actors = frozenset(person.actors)
        changed = await self.all_of(catalog_id, actors.__contains__, actors)
        kept = await self._models.registry.with_files(catalog_id)
        if not any(model.read_micros <= person.requested_micros for model in kept):
            return ErasedStore(name, changed)
        due = person.requested_micros + int(self._unlearn_days * DAY_MICROS)
        text = (
            "The shopper's vector is removed. Sums over all shoppers' events are subtracted within"
            " a day, and a training without the shopper replaces the model by this time."
        )
        return ErasedStore(name, changed, due, text)

    async def all_of(
        self,
        catalog_id: str,
        is_erased: Callable[[str], bool],
        among: Collection[str] | None = None,
    ) -> int:
        """Remove shoppers from all kept models of a catalog. Return the number of models that had
        any. `is_erased` is given a pseudonym; `among`: the erased shoppers, if they are known.
        Raise ModelCorrupt, StoreUnwritable."""
        store = self._models.store
        return await self._models.change(
            catalog_id, lambda model: store.without(*model.key, is_erased, among)
        )
