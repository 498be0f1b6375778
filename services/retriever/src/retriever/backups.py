"""`python -m retriever.backups`: asks for a backup of each catalog, waits for the worker that makes
it, and deletes the oldest. For a timer such as a CronJob; ends with 0 when all were made.

What people type is `sightline backup`.
"""

import argparse
import asyncio
import json
import sys

from retriever import wiring
from retriever.backup import backups
from retriever.backup.backups import Quota
from retriever.settings import RetrieverSettings
from servicekit import startup, telemetry
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.jobs import Job, Jobs, JobState
from servicekit.sql import Database

SECONDS = 1.0
"""How often it is looked whether a backup is made."""
OPEN = (JobState.PENDING, JobState.RUNNING)


async def run(settings: RetrieverSettings, database: Database, keep: int) -> bool:
    """Back up all catalogs.

    Return whether all backups succeeded; only then old ones are deleted.
    """
    jobs, files = wiring.job_queue(database), wiring.backup_files(settings)
    quota = Quota(settings.backup_count, settings.backup_megabytes * 10**6)
    made = True
    try:
        for catalog_id in settings.catalogs:
            now = now_micros()
            asked = await backups.create(catalog_id, files, jobs, quota, now=now, request_id="")
            job = await _end(jobs, asked)
            gone = (await files.names(catalog_id))[keep:] if job.state is JobState.SUCCEEDED else []
            for one in gone:
                await files.delete(catalog_id, one)
            made = made and job.state is JobState.SUCCEEDED
            said = {"catalog": catalog_id, "state": job.state, "error": job.error_message}
            print(json.dumps({**said, **(job.result or {}), "deleted": gone}), flush=True)
    finally:
        files.close()
    return made


async def _end(jobs: Jobs, job: Job) -> Job:
    while job.state in OPEN:
        await asyncio.sleep(SECONDS)
        job = await jobs.get(job.id)
    return job


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m retriever.backups", description=__doc__)
    keep = "how many backups of a catalog stay, the newest (default 14)"
    made.add_argument("--keep", type=int, default=14, help=keep)
    return made


def main() -> int:
    """Read the command line and do what it says; the exit status."""
    given = parser().parse_args()
    settings = startup.load(RetrieverSettings)
    telemetry.configure_logging("retriever-backups", settings.log_level)
    database = wiring.database(settings)
    try:
        return 0 if asyncio.run(run(settings, database, max(given.keep, 1))) else 1
    except ServiceError as error:
        print(f"{error.reason}: {error}", file=sys.stderr)
        return 1
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
