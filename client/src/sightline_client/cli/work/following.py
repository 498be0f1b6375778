"""Follow a job to its end."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

import typer
from grpc.aio import UnaryUnaryMultiCallable
from rich.console import Group, RenderableType
from rich.text import Text

from sightline.common.v1 import job_pb2
from sightline.common.v1.job_service_pb2 import GetJobRequest
from sightline.gateway.v1.catalog_service_pb2 import PurgeProductsResponse
from sightline.gateway.v1.user_event_service_pb2 import PurgeEventsResponse
from sightline_client.cli import failures
from sightline_client.cli.base import progress, running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _, for_programs
from sightline_client.cli.show import listings
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import FailedPrecondition
from sightline_client.transport.calls import Calls
from sightline_client.values.operations import Job, JobState

Q = TypeVar("Q")
R = TypeVar("R", PurgeProductsResponse, PurgeEventsResponse)


async def follow(client: SightlineClient, job_id: str) -> job_pb2.Job:
    """Show the progress of a job until it ends, and return it."""
    with progress.meter(_("job {job_id}", job_id=job_id)) as bar:
        async for job in client.watch_job(job_id):
            bar.at(job.done, job.total)
    return await get(client, job_id)


async def get(client: SightlineClient, job_id: str) -> job_pb2.Job:
    """Return the present state of a job."""
    request = GetJobRequest(catalog_id=client.catalog, job_id=job_id)
    return await client.calls(client.calls.jobs.GetJob, request, client.timeout)


def ended_well(job: Job) -> bool:
    """Return whether the job succeeded; if not, print why."""
    if job.state is JobState.SUCCEEDED:
        return True
    if job.error is not None and for_programs():
        running.complain(job.error)
        return False
    why = "" if job.error is None else f": {job.error}"
    running.tell("Job {job_id} ended as {state}{why}", job, why=why)
    if job.error is not None and (advice := failures.fix(job.error)):
        running.say(Text.assemble((_("Fix: "), "bold"), advice))
    return False


def show(
    message: job_pb2.Job, suite: Suite, *, wait: bool, results: Collection[str] | None = ()
) -> None:
    """Print a job, and these of its results a line each; None = all. A followed one that did not
    succeed exits with 1."""
    value = from_wire.job(message)
    lines = [
        Text(f"{name} {text}")
        for name, text in value.results.items()
        if results is None or name in results
    ]
    suite.show(message, lambda: Group(listings.jobs.one(value), *lines))
    if wait:
        check(value)


def check(job: Job) -> None:
    """Exit with 1, and say why, unless a job succeeded."""
    if not ended_well(job):
        raise typer.Exit(1)


async def started(client: SightlineClient, job: Job, *, wait: bool) -> job_pb2.Job:
    """Return a job that was started: at its end with ``wait``, else as it is now."""
    return await (follow if wait else get)(client, job.job_id)


async def refusal(
    job: job_pb2.Job, promote: Callable[[Mapping[str, str]], Awaitable[object]], reason: str
) -> FailedPrecondition | None:
    """Promote what a job made, if it succeeded: ``promote`` takes its results. Return the error of
    a promotion that was rejected for this reason, so that the finished job can be shown first.
    Raises any other error."""
    ended = from_wire.job(job)
    try:
        if ended.state is JobState.SUCCEEDED:
            await promote(ended.results)
    except FailedPrecondition as error:
        if error.reason != reason:
            raise
        return error
    return None


def carry_out(
    suite: Suite,
    start: Callable[[SightlineClient], Awaitable[Job]],
    *,
    wait: bool,
    keeps: bool = False,
    results: Collection[str] | None = (),
) -> None:
    """Start a job, follow it with ``wait``, and show it with these results (see ``show``).
    ``keeps``: see ``running.guarded``."""

    async def ask(client: SightlineClient) -> job_pb2.Job:
        return await started(client, await start(client), wait=wait)

    show(suite.run(ask, keeps=keeps), suite, wait=wait, results=results)


def purge(
    suite: Suite,
    method: Callable[[Calls], UnaryUnaryMultiCallable[Q, R]],
    request: Q,
    for_people: Callable[[R], RenderableType],
) -> None:
    """Count what would be deleted, or follow the job that deletes it, and show it."""

    async def ask(client: SightlineClient) -> R:
        response = await client.calls(method(client.calls), request, client.timeout)
        if response.HasField("job"):
            response.job.CopyFrom(await follow(client, response.job.job_id))
        return response

    response = suite.run(ask)
    suite.show(response, lambda: for_people(response))
    if response.HasField("job"):
        check(from_wire.job(response.job))


def check_promotion(what: str, *, promote: bool, force: bool, wait: bool) -> None:
    """Reject options that contradict each other, of a command that makes something and may promote
    it."""
    if promote and not wait:
        raise typer.BadParameter(
            _("--promote requires waiting for the {what}", what=_(what)), param_hint="--promote"
        )
    if force and not promote:
        raise typer.BadParameter(_("it requires --promote"), param_hint="--force")
