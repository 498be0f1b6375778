"""``sightline index rebuild``"""

from typing import Annotated

import typer

from sightline.common.v1 import job_pb2
from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.work import following
from sightline_client.client import SightlineClient


def rebuild(
    *,
    space: Annotated[
        str,
        typer.Option(metavar="SPACE", help="The space to rebuild.", callback=options.text),
    ] = "visual",
    wait: Annotated[bool, typer.Option(help="Follow the job to its end, or only start it.")] = True,
    suite: Suite,
) -> None:
    """Make an index that lost its data hold again what the record says.

    No photo is embedded again. It ends when the index holds everything.

    [bold]Examples[/bold]

      sightline index rebuild

      sightline index rebuild --space visual --catalog shop
    """

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.rebuild_index(space=space)
        return await (following.follow if wait else following.get)(client, job.job_id)

    following.show(suite.run(ask), suite, wait=wait)
