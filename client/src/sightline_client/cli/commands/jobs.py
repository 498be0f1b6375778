"""``sightline jobs``"""

from typing import Annotated

import typer

from sightline.common.v1 import job_pb2, job_service_pb2
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings
from sightline_client.cli.work import following
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire

app = Commands(
    no_args_is_help=True, help="Follow and stop long work: training, purges, imports, backfills."
)

JobId = Annotated[
    str,
    typer.Argument(metavar="JOB", help="The job, as `jobs list` shows it.", callback=options.named),
]


@app.command("list")
def list_(
    *,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="Only this kind, e.g. train; empty = all.", callback=options.text
        ),
    ] = "",
    top: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="How many, newest first.")
    ] = 20,
    suite: Suite,
) -> None:
    """List jobs, newest first.

    [bold]Example[/bold]

      sightline jobs list --kind train
    """
    request = job_service_pb2.ListJobsRequest(catalog_id=suite.catalog, kind=kind, page_size=top)

    response = suite.run(lambda client: client.calls.list_jobs(request, suite.timeout))
    suite.show(response, lambda: listings.jobs([from_wire.job(job) for job in response.jobs]))


@app.command()
def watch(
    *,
    job: JobId,
    suite: Suite,
) -> None:
    """Follow a job to its end. Exit code 0 = it succeeded.

    [bold]Example[/bold]

      sightline jobs watch ranker/0190…
    """

    async def ask(client: SightlineClient) -> job_pb2.Job:
        return await following.follow(client, job)

    message = suite.run(ask)
    value = from_wire.job(message)
    suite.show(message, lambda: listings.jobs([value]))
    if not following.ended_well(value):
        raise typer.Exit(1)


@app.command()
def cancel(
    *,
    job: JobId,
    suite: Suite,
) -> None:
    """Ask a job to stop. It ends soon after, unless it ended first.

    [bold]Example[/bold]

      sightline jobs cancel ranker/0190…
    """
    request = job_service_pb2.CancelJobRequest(catalog_id=suite.catalog, job_id=job)

    message = suite.run(lambda client: client.calls.cancel_job(request, suite.timeout))
    suite.show(message, lambda: listings.jobs([from_wire.job(message)]))
