"""Exact unlearning of what models compute from sums over all shoppers' events (extra `train`).

For each kept model these parts (`sums.SUMS` and `content`) are computed again from the present
events of its period, in which an erased shopper has none. They are then the arrays of a training
without the shopper, bit for bit: exact unlearning in the sense of Cao and Yang 2015 ("Towards
Making Systems Forget with Machine Unlearning", IEEE S&P). LightFM's part can't be subtracted.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ranker.adapters.model_store import UNLEARNED, ModelStore
from ranker.domain.errors import ModelCorrupt
from ranker.domain.log import EventColumns, log_of
from ranker.domain.model import Model, ModelRecord
from ranker.domain.recipe import Recipe, recipe_of
from ranker.domain.signals import interests
from ranker.learning.kept_models import KeptModels
from ranker.learning.training.fitting import content_of, with_content
from ranker.learning.training.sums import sums
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from servicekit.sql.database import Database

Progress = Callable[[int, int], None]


async def unlearn(
    catalog_id: str, database: Database, store: ModelStore, progress: Progress
) -> int:
    """Subtract all erased shoppers from the kept models of a catalog. Return the number of changed
    models. Raise ModelsBusy, ModelCorrupt, StoreUnwritable."""
    models = KeptModels(database, store)
    forgotten = await ErasureRecord(database).forgotten_since(catalog_id, 0)
    newest = max(forgotten.values(), default=0)
    known = await models.registry.with_files(catalog_id)
    if not any(_may_be_outdated(store, model, newest) for model in known):
        return 0
    log = log_of(await EventRecord(database).interactions(catalog_id))
    done = 0

    def change(record: ModelRecord) -> str | None:
        nonlocal done
        done += 1
        progress(done, len(known))
        if not is_outdated(store, record, newest):
            return None
        recipe = recipe_of(store.manifest(*record.key)["recipe"])
        model = without_erased(store.read(*record.key), record, log, recipe)
        return store.unlearned(catalog_id, model, record.manifest_sha256, newest)

    return await models.change(catalog_id, change)


def _may_be_outdated(store: ModelStore, record: ModelRecord, newest_micros: int) -> bool:
    try:
        return is_outdated(store, record, newest_micros)
    except ModelCorrupt:  # raised after the change of the others
        return True


def is_outdated(store: ModelStore, record: ModelRecord, newest_micros: int) -> bool:
    """Return whether a model learned from shoppers who were erased since, until the newest erasure,
    and has not been without them yet. Models of before 0.8 have no such parts. ModelCorrupt."""
    if record.read_micros > newest_micros:
        return False
    manifest = store.manifest(*record.key)
    return "recipe" in manifest and manifest.get(UNLEARNED, -1) < newest_micros


def without_erased(model: Model, record: ModelRecord, log: EventColumns, recipe: Recipe) -> Model:
    """Return a model with the sums of these events. `log`: all events that are left."""
    log = log.part(np.flatnonzero(log.time <= record.last_event_micros))
    found = interests(log, recipe.signals)
    model = replace(model, **sums(found, log, model.item_ids, recipe))
    if model.content is None:
        return model
    return with_content(model, content_of(model, found).content, found)
