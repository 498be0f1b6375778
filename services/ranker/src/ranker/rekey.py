"""`python -m ranker.rekey`: renews all pseudonyms after a key was added to RANKER_KEY_FILE.

Stop the ranker and its worker first, and with an event log let the worker empty it before. The
record is changed in one transaction, and then notes beside the backups of RANKER_BACKUPS. Shoppers'
vectors are removed from kept models: trainings learn them again. An interrupted run can be
repeated.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore
from ranker.domain import pseudonyms
from ranker.domain.errors import KeyUnusable
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.backups.content import record_backups
from ranker.events.backups.renewed_notes import RenewedNotes
from ranker.learning.renew import renew
from ranker.record.stored_key import stored_fingerprint
from ranker.settings import BackupCommandSettings
from ranker.wiring.record import open_record, sealer_of
from servicekit.errors import ServiceError
from servicekit.sql.database import Database
from servicekit.startup import checked


def _print(**line: Any) -> None:
    print(json.dumps(line), flush=True)


async def rekey(settings: BackupCommandSettings, database: Database, *, exports: bool) -> None:
    """Renew all pseudonyms. `exports`: delete exports, which hold former ones. Raise
    KeyUnusable."""
    key = pseudonyms.load(settings.key_file, create=False)
    former = await stored_fingerprint(database)
    if (renewal := key.since(former)) is None:
        raise KeyUnusable("the record's key is not in the file: add the new key below the others")
    store, models = ExportStore(settings.export_store), ModelStore(settings.model_store)
    found = [(one, job) for one in await store.catalogs() for job in await store.jobs(one)]
    if found and not exports:
        raise KeyUnusable(f"{len(found)} exports hold former pseudonyms: add --delete-exports")
    notes = _notes(settings, key)
    if notes is not None:
        notes.begin(former)
    await renew(database, models, key, renewal, lambda of, rows: _print(of=of, renewed=rows))
    if notes is not None:
        renewed, unread = notes.renew()
        _print(of="notes", renewed=renewed, unreadable=unread)
    for catalog_id, job_id in found:
        await store.delete(catalog_id, job_id)
    _print(key=key.key_id, exports_deleted=len(found))


def _notes(settings: BackupCommandSettings, key: Pseudonyms) -> RenewedNotes | None:
    if not settings.backups:
        return None
    return RenewedNotes(record_backups(settings.backups, settings.backup_keys_file), key)


def main() -> int:
    """Run the command and return its exit status."""
    made = argparse.ArgumentParser("python -m ranker.rekey", description=__doc__)
    made.add_argument("--delete-exports", action="store_true", help="delete exports of events")
    given = made.parse_args()
    settings = checked(BackupCommandSettings)
    database = open_record(settings, sealer_of(settings))
    try:
        asyncio.run(rekey(settings, database, exports=given.delete_exports))
    except (KeyUnusable, ServiceError) as error:
        print(f"not renewed: {error}", file=sys.stderr)
        return 1
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
