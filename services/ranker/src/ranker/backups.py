"""`python -m ranker.backups`: backups of the ranker's record and of its models.

Backups are made while the services run. Before a restore, stop the ranker and its worker.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from ranker.adapters.model_store import ModelStore
from ranker.domain import pseudonyms
from ranker.domain.erasure import person_hash
from ranker.domain.errors import BackupRefused, KeyUnusable
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.backups import create, purges, restore
from ranker.events.backups.content import content_of, record_backups
from ranker.events.erase import ErasePerson
from ranker.learning.forget import ForgetInModels
from ranker.learning.renew import renew
from ranker.record.consent_changes import ConsentRecord
from ranker.record.private_counts import BudgetRecord
from ranker.record.selections import SelectionRecord
from ranker.record.stored_key import stored_fingerprint
from ranker.record.tables import CHECKPOINT_PAGES, JOBS, MIGRATION_LOCK, MIGRATIONS
from ranker.settings import BackupCommandSettings
from servicekit import config
from servicekit.artefacts import backup_command
from servicekit.artefacts.backup_command import BackupCommand
from servicekit.jobs.queue import Jobs
from servicekit.processes.background import yield_to_answers
from servicekit.sql.database import Database


class RecordBackups(BackupCommand):
    """Operations of the command."""

    def __init__(self, settings: BackupCommandSettings) -> None:
        super().__init__(record_backups(settings.backups, settings.backup_keys_file))
        self._settings, self._models = settings, ModelStore(settings.model_store)

    # A backup holds all catalogs, so the only catalog name is the empty one.
    def make(self, catalog_id: str) -> Mapping[str, Any]:  # noqa: ARG002
        with self._opened() as database:
            release = version("sightline-ranker")
            return backup_command.row(*create.create(database, self._models, self.backups, release))

    def trim(self, catalog_id: str, keep: int) -> Sequence[str]:
        deleted = super().trim(catalog_id, keep)
        if left := self.backups.ids():
            purges.forget_before(self.backups, left[-1])
        return deleted

    def bring_back(
        self,
        catalog_id: str,  # noqa: ARG002
        source: str,
        backup_id: str,
        given: argparse.Namespace,
    ) -> Mapping[str, Any]:
        backup = self.backups.open(source, backup_id, unsigned=given.accept_unsigned)
        try:
            key = pseudonyms.load(self._settings.key_file, create=False)
        except KeyUnusable as error:
            raise BackupRefused("KEY_UNUSABLE", str(error)) from error
        with self._opened() as database:
            restore.check(content_of(backup.manifest), database, key, force=given.force)
            with self.timed("models"):
                restore.restore_models(backup, self._models)
            with self.timed("record"):
                restore.restore_record(backup, database)
            if renewal := key.since(content_of(backup.manifest).key_fingerprint):
                with self.timed("pseudonyms"):
                    renewing = renew(database, self._models, key, renewal, lambda *_: None)
                    asyncio.run(renewing)
            again = self._repeat(
                database, backup.manifest.create_micros, unsigned=given.accept_unsigned
            )
        return {**backup_command.row(backup_id, backup.manifest), **again}

    def purges(self, given: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
        """Repeat the purges since a time, after the record was restored by another tool."""
        since, key = int(given.since.timestamp() * 10**6), self._key()
        with self._opened() as database:
            if key is not None and key.since(asyncio.run(stored_fingerprint(database))):
                why = "the record has a former key of the file: run python -m ranker.rekey first"
                raise BackupRefused("KEY_UNUSABLE", why)
            yield self._repeat(database, since, unsigned=given.accept_unsigned)

    def _repeat(self, database: Database, since: int, *, unsigned: bool) -> Mapping[str, Any]:
        record = SelectionRecord(database, self._settings.signals)
        again = partial(self._erase_again, database, record)
        with self.timed("purges"):
            consents = ConsentRecord(database, self._settings.signals)
            budget = BudgetRecord(database)
            repeating = purges.Repeating(record, consents, budget, again, self._key())
            done = asyncio.run(repeating.repeat(self.backups, since, unsigned=unsigned))
        return {"purges": done[0], "purged_events": done[1]}

    def _key(self) -> Pseudonyms | None:
        try:
            return pseudonyms.load(self._settings.key_file, create=False)
        except KeyUnusable:
            return None

    async def _erase_again(
        self,
        database: Database,
        record: SelectionRecord,
        catalog_id: str,
        erased: Mapping[str, int],
        job_id: str,
    ) -> int:
        """Erase shoppers from restored tables and models, and return the number of records."""
        stores = ErasePerson.of(database, Jobs(database, JOBS), record, (), asyncio.Event())
        count = await stores.again(catalog_id, erased, job_id)
        forget = ForgetInModels(database, self._models)
        return count + await forget.all_of(catalog_id, lambda actor: person_hash(actor) in erased)

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        url = self._settings.database_url.get_secret_value()
        database = Database(
            url,
            migrations=MIGRATIONS,
            migration_lock=MIGRATION_LOCK,
            checkpoint_pages=CHECKPOINT_PAGES,
        )
        try:
            yield database
        finally:
            database.close()


def _time(text: str) -> datetime:
    """Parse a time with its zone in ISO 8601. Raise ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made, verbs = backup_command.parser("ranker", by_catalog=False, keep=0)
    again = verbs.add_parser("purges", help="repeat the purges since a time")
    again.add_argument("--since", type=_time, required=True, help="such as 2026-11-23T09:00:00Z")
    backup_command.accept_unsigned(again)
    return made


def main() -> int:
    """Run the command and return its exit status."""
    given = parser().parse_args()
    return backup_command.run(given, lambda: RecordBackups(config.load(BackupCommandSettings)))


if __name__ == "__main__":
    yield_to_answers()
    sys.exit(main())
