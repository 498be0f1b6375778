"""`python -m ranker.backup`: backups of the ranker's record and models, in RANKER_BACKUPS.

Backups are created while the services run. Before a restore, stop the ranker and its worker. Each
command prints its result as a line of JSON. Errors are printed on standard error, with status 1.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from ranker.adapters.backup_files import BackupFiles
from ranker.adapters.model_store import ModelStore
from ranker.domain import pseudonyms
from ranker.domain.errors import BackupRefused, KeyUnusable
from ranker.events.backups import manifest, purges, restore
from ranker.events.backups.create import create, keep_newest
from ranker.events.record.selections import SelectionRecord
from ranker.events.record.tables import CHECKPOINT_PAGES, MIGRATIONS
from ranker.settings import BackupSettings
from servicekit import config
from servicekit.errors import ServiceError
from servicekit.keyring import signing_keys
from servicekit.reloaded import Unreadable
from servicekit.server import PRIVATE
from servicekit.sql import Database


class BackupCommand:
    """The backup commands, with these settings."""

    def __init__(self, settings: BackupSettings) -> None:
        self._settings = settings
        self._files = BackupFiles(settings.backups, signing_keys(settings.backup_keys_file)())
        self._models = ModelStore(settings.model_store)
        self._seconds: dict[str, float] = {}

    def create(self, given: argparse.Namespace) -> Mapping[str, Any]:
        with self._opened() as database, self._timed("create"):
            made, about = create(database, self._models, self._files, version("sightline-ranker"))
        deleted = keep_newest(self._files, given.keep) if given.keep else []
        return {**_row(made, about), "deleted": deleted, "seconds": self._seconds}

    def list(self, _: argparse.Namespace) -> Mapping[str, Any]:
        found = [
            _row(one, manifest.read(self._files, one, unsigned=True)) for one in self._files.ids()
        ]
        return {"backups": found}

    def delete(self, given: argparse.Namespace) -> Mapping[str, Any]:
        if given.id not in self._files.ids():
            raise BackupRefused("BACKUP_NOT_FOUND", f"there is no backup {given.id}")
        self._files.delete(given.id)
        return {"deleted": [given.id]}

    def restore(self, given: argparse.Namespace) -> Mapping[str, Any]:
        newest = self._files.ids()[:1] if given.id == "newest" else [given.id]
        if not newest:
            raise BackupRefused("BACKUP_NOT_FOUND", "there is no backup yet")
        backup_id, unsigned = newest[0], given.accept_unsigned
        about = manifest.read(self._files, backup_id, unsigned=unsigned)
        key = pseudonyms.load(self._settings.key_file, create=False)
        with self._opened() as database:
            restore.check(about, database, key, force=given.force)
            with self._timed("models"):
                restore.restore_models(about, backup_id, self._models, self._files)
            with self._timed("record"):
                restore.restore_record(about, backup_id, database, self._files)
            again = self._repeat(database, about.create_micros, unsigned=unsigned)
        return {**_row(backup_id, about), **again, "seconds": self._seconds}

    def purges(self, given: argparse.Namespace) -> Mapping[str, Any]:
        since = int(given.since.timestamp() * 10**6)
        with self._opened() as database:
            return self._repeat(database, since, unsigned=given.accept_unsigned)

    def _repeat(self, database: Database, since: int, *, unsigned: bool) -> Mapping[str, Any]:
        record = SelectionRecord(database, self._settings.signals)
        with self._timed("purges"):
            done = asyncio.run(purges.repeat(self._files, record, since, unsigned=unsigned))
        return {"purges": done[0], "purged_events": done[1]}

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        url = self._settings.database_url.get_secret_value()
        database = Database(url, migrations=MIGRATIONS, checkpoint_pages=CHECKPOINT_PAGES)
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        since = time.monotonic()
        yield
        self._seconds[step] = round(time.monotonic() - since, 3)


def _row(backup_id: str, about: manifest.BackupManifest) -> dict[str, Any]:
    """Return a summary of a backup."""
    return {
        "backup": backup_id,
        "time": datetime.fromtimestamp(about.create_micros / 10**6, UTC).isoformat(),
        "events": about.rows("events"),
        "answers": about.rows("answers"),
        "models": len({(one.catalog_id, one.version) for one in about.models}),
        "lost_models": about.lost,
        "bytes": about.size,
        "key_id": about.key_id,
        "release": about.service_version,
    }


def _time(text: str) -> datetime:
    """Parse a time with its zone in ISO 8601; ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m ranker.backup", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a backup")
    create.add_argument("--keep", type=int, default=0, help="then delete all but the newest KEEP")
    commands.add_parser("list", help="the backups, newest first")
    delete = commands.add_parser("delete", help="delete a backup")
    delete.add_argument("id")
    restore = commands.add_parser("restore", help="replace the record by a backup")
    restore.add_argument("id", help="of the backup, or `newest`")
    restore.add_argument("--force", action="store_true", help="into a record that has rows")
    again = commands.add_parser("purges", help="do again what was purged since a time")
    again.add_argument("--since", type=_time, required=True, help="such as 2026-11-23T09:00:00Z")
    for one in (restore, again):
        one.add_argument(
            "--accept-unsigned", action="store_true", help="accept files without a valid signature"
        )
    return made


def main() -> int:
    """Read the command line and do what it says; the exit status."""
    given = parser().parse_args()
    os.umask(PRIVATE)
    try:
        done = getattr(BackupCommand(config.load(BackupSettings)), given.command)(given)
    except (BackupRefused, KeyUnusable, Unreadable, ServiceError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
