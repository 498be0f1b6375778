"""Renewal of pseudonyms in the record and in kept models."""

from collections.abc import Callable

from ranker.adapters.model_store import ModelStore
from ranker.domain.pseudonyms import Pseudonyms, Renewal
from ranker.learning.forget import ForgetInModels
from ranker.record.renewing import RenewalRecord
from servicekit.sql.database import Database


async def renew(
    database: Database,
    models: ModelStore,
    key: Pseudonyms,
    renewal: Renewal,
    said: Callable[[str, int], None],
) -> None:
    """Renew all pseudonyms of the record, and remove shoppers' vectors from kept models: trainings
    learn them again. Repeatable. `said` is called with each table, or catalog, and a number."""
    record = RenewalRecord(database)
    if renewal:
        await record.renew(key, renewal, said)
    forget = ForgetInModels(database, models)
    for catalog_id in await record.catalogs():
        said(f"models of {catalog_id}", await forget.all_of(catalog_id, bool))
