"""``sightline jobs``"""

from typing import Annotated

from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings
from sightline_client.cli.work import following
from sightline_client.cli.work.plain_commands import NEWEST, Given, PlainCommands, text
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire

app = PlainCommands(
    help="Follow and stop long work: training, purges, imports, backfills.", table=listings.jobs
)

JobId = Annotated[str, options.argument("JOB", "Job id, as shown by `jobs list`.")]

app.rows(
    "list",
    "List jobs, newest first.",
    "jobs list --kind train",
    "jobs.ListJobs",
    text("kind", "KIND", "Only jobs of this kind, e.g. train; default: all kinds."),
    NEWEST,
    reads=from_wire.job,
)


@app.command()
def watch(*, job: JobId, suite: Suite) -> None:
    """Follow a job to its end. Exit code 0 = it succeeded.

    sightline jobs watch ranker/0190…
    """
    message = suite.run(lambda client: following.follow(client, job))
    following.show(message, suite, wait=True)


app.call(
    "cancel",
    "Request the cancellation of a job; it ends soon afterwards.",
    "jobs cancel ranker/0190…",
    SightlineClient.cancel_job,
    Given("job", JobId, to="job_id"),
)
