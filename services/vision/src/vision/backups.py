"""`python -m vision.backups`: backups of the watches of catalogs, which the worker makes and
restores."""

import argparse
import asyncio
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from servicekit import telemetry
from servicekit.artefacts import backup_command
from servicekit.artefacts.backup_command import BackupCommand
from servicekit.clock import now_micros
from servicekit.errors import Internal
from servicekit.jobs.queue import Job, JobState
from servicekit.sql.database import Database
from servicekit.startup import load
from vision import wiring
from vision.backup import backups
from vision.backup.backups import RestorePlan
from vision.domain.catalog_keys import catalog_of
from vision.record import Record
from vision.settings import VisionSettings

SECONDS = 1.0
"""Seconds between two polls of a job."""
KEEP = 14
"""Backups of a catalog that `create` keeps by default."""
OPEN = (JobState.PENDING, JobState.RUNNING)


class WatchBackups(BackupCommand):
    """Operations of the command: they create jobs and wait until the worker has done them."""

    def __init__(self, settings: VisionSettings, database: Database) -> None:
        self._jobs = wiring.job_queue(database)
        # Catalogs that were created at run time are known by what is stored of them.
        stored = map(catalog_of, asyncio.run(Record(database).keys()))
        names = dict.fromkeys([*settings.catalogs, *stored])
        super().__init__(wiring.backup_files(settings), list(names))

    def make(self, catalog_id: str) -> Mapping[str, Any]:
        done = asyncio.run(self._end(backups.create(catalog_id, self._jobs, now_micros())))
        made = self.backups.open(catalog_id, done["backup_id"]).manifest
        return backup_command.row(done["backup_id"], made)

    def bring_back(
        self, catalog_id: str, source: str, backup_id: str, given: argparse.Namespace
    ) -> Mapping[str, Any]:
        plan = RestorePlan(backup_id, source, given.force, given.accept_unsigned)
        with self.timed("restore"):
            asked = backups.ask_restore(catalog_id, plan, self.backups, self._jobs)
            return asyncio.run(self._end(asked))

    async def _end(self, asked: Coroutine[Any, Any, Job]) -> Mapping[str, Any]:
        """Return the result of a job when it has ended. Raise Internal if it failed."""
        job = await asked
        while job.state in OPEN:
            await asyncio.sleep(SECONDS)
            job = await self._jobs.get(job.id)
        if job.state is not JobState.SUCCEEDED:
            raise Internal(job.error_message or str(job.state), reason=job.error_reason or "JOB")
        return job.result


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return backup_command.parser("vision", by_catalog=True, keep=KEEP)[0]


def main() -> int:
    """Run the command and return its exit status."""
    given = parser().parse_args()
    settings = load(VisionSettings)
    telemetry.configure_logging("vision-backups", settings.log_level)
    database = wiring.database(settings)
    try:
        return backup_command.run(given, lambda: WatchBackups(settings, database))
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
