"""`python -m retriever.backups`: backups of catalogs, which the worker makes and restores.

For timers such as a CronJob, and for shells on the machines of the services. Elsewhere use the
client's `sightline backup`.
"""

import argparse
import asyncio
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from retriever import wiring
from retriever.backup import backups
from retriever.record import Record
from retriever.settings import RetrieverSettings
from servicekit import telemetry
from servicekit.artefacts import backup_command
from servicekit.artefacts.backup_command import BackupCommand
from servicekit.clock import now_micros
from servicekit.errors import Internal
from servicekit.jobs.queue import Job, JobState
from servicekit.sql.database import Database
from servicekit.startup import load

SECONDS = 1.0
"""Seconds between two polls of a job."""
KEEP = 14
"""Backups of a catalog that `create` keeps by default."""
OPEN = (JobState.PENDING, JobState.RUNNING)


class CatalogBackups(BackupCommand):
    """Operations of the command: they create jobs and wait until the worker has done them."""

    def __init__(self, settings: RetrieverSettings, database: Database) -> None:
        self._jobs, self._record = wiring.job_queue(database), Record(database)
        catalogs = wiring.known_catalogs(settings, self._record)
        asyncio.run(catalogs.refresh())
        super().__init__(wiring.backup_files(settings), list(catalogs))
        self._quota = backups.Quota(settings.backup_count, settings.backup_megabytes * 10**6)

    def make(self, catalog_id: str) -> Mapping[str, Any]:
        asked = backups.create(
            catalog_id, self.backups, self._jobs, self._quota, now=now_micros(), request_id=""
        )
        done = asyncio.run(self._end(asked))
        made = backups.manifest_of(catalog_id, done["backup_id"], self.backups)
        return backup_command.row(done["backup_id"], made)

    def bring_back(
        self, catalog_id: str, source: str, backup_id: str, given: argparse.Namespace
    ) -> Mapping[str, Any]:
        asked = backups.ask_restore(
            *(catalog_id, backup_id, self._record, self.backups, self._jobs),
            source=source,
            force=given.force,
            unsigned=given.accept_unsigned,
            request_id="",
        )
        with self.timed("restore"):
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
    return backup_command.parser("retriever", by_catalog=True, keep=KEEP)[0]


def main() -> int:
    """Run the command and return its exit status."""
    given = parser().parse_args()
    settings = load(RetrieverSettings)
    telemetry.configure_logging("retriever-backups", settings.log_level)
    database = wiring.database(settings)
    try:
        return backup_command.run(given, lambda: CatalogBackups(settings, database))
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
