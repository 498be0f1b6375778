"""``sightline jobs``"""

from typing import Annotated

from sightline.common.v1 import job_service_pb2
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings
from sightline_client.cli.work import following
from sightline_client.convert import from_wire

app = Commands(
    no_args_is_help=True, help="Follow and stop long work: training, purges, imports, backfills."
)

JobId = Annotated[str, options.argument("JOB", "Job id, as shown by `jobs list`.")]


@app.command("list")
def list_(
    *,
    kind: Annotated[
        str,
        options.words(
            metavar="KIND", help="Only jobs of this kind, e.g. train; default: all kinds."
        ),
    ] = "",
    top: options.Newest = 20,
    suite: Suite,
) -> None:
    """List jobs, newest first.

    [bold]Example[/bold]

      sightline jobs list --kind train
    """
    suite.call(
        lambda calls: calls.jobs.ListJobs,
        job_service_pb2.ListJobsRequest(catalog_id=suite.catalog, kind=kind, page_size=top),
        lambda answer: listings.jobs([from_wire.job(job) for job in answer.jobs]),
    )


@app.command()
def watch(*, job: JobId, suite: Suite) -> None:
    """Follow a job to its end. Exit code 0 = it succeeded.

    [bold]Example[/bold]

      sightline jobs watch ranker/0190…
    """
    message = suite.run(lambda client: following.follow(client, job))
    following.show(message, suite, wait=True)


@app.command()
def cancel(*, job: JobId, suite: Suite) -> None:
    """Request the cancellation of a job; it ends soon afterwards.

    [bold]Example[/bold]

      sightline jobs cancel ranker/0190…
    """
    suite.answer(lambda client: client.cancel_job(job), lambda found: listings.jobs([found]))
