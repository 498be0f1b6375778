"""Follows a job to its end."""

import typer
from rich.text import Text

from sightline.common.v1 import job_pb2
from sightline.common.v1.job_service_pb2 import GetJobRequest
from sightline_client.cli import failures
from sightline_client.cli.base import progress, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings, tables
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.values.operations import Job, JobState


async def follow(client: SightlineClient, job_id: str) -> job_pb2.Job:
    """The job as it ended, its progress shown meanwhile."""
    with progress.meter(f"job {job_id}") as bar:
        async for job in client.watch_job(job_id):
            bar.at(job.done, job.total)
    return await get(client, job_id)


async def get(client: SightlineClient, job_id: str) -> job_pb2.Job:
    """The job as it stands."""
    request = GetJobRequest(catalog_id=client.catalog, job_id=job_id)
    return await client.calls.get_job(request, client.timeout)


def ended_well(job: Job) -> bool:
    """Whether it did what it was for; if not, says why."""
    if job.state is JobState.SUCCEEDED:
        return True
    why = "" if job.error is None else f": {job.error}"
    running.say(Text(f"Job {tables.plain(job.job_id)} ended as {job.state}{tables.plain(why)}"))
    for line in failures.fix(job.error) if job.error is not None else ():
        running.say(line)
    return False


def show(message: job_pb2.Job, suite: Suite, *, wait: bool) -> None:
    """A job as it was left; a followed one that did not succeed ends the command with 1."""
    value = from_wire.job(message)
    suite.show(message, lambda: listings.jobs([value]))
    if wait and not ended_well(value):
        raise typer.Exit(1)
