"""``sightline backup``"""

from typing import Annotated

import typer

from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import backup_service_pb2
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import listings
from sightline_client.cli.work import following
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire

app = Commands(no_args_is_help=True, help="Copy a catalogue into one file, and restore it.")

Wait = Annotated[bool, typer.Option(help="Follow the job to its end, or only start it.")]


@app.command()
def create(
    *,
    wait: Wait = True,
    suite: Suite,
) -> None:
    """Copy the catalogue, as it is at one moment, while it is written to.

    Products, photos, vectors and index generations go into one file where the suite's setting
    RETRIEVER_BACKUPS says.

    [bold]Examples[/bold]

      sightline backup create

      sightline backup create --json | jq -r '.results[] | select(.name == "backup_id").value'
    """

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.create_backup()
        return await _job(client, job.job_id, wait=wait)

    following.show(suite.run(ask), suite, wait=wait)


@app.command("list")
def list_(
    *,
    top: Annotated[
        int, typer.Option(min=1, max=200, metavar="N", help="How many, newest first.")
    ] = 20,
    suite: Suite,
) -> None:
    """List the backups of a catalog, newest first.

    [bold]Example[/bold]

      sightline backup list
    """
    request = backup_service_pb2.ListBackupsRequest(catalog_id=suite.catalog, page_size=top)

    response = suite.run(lambda client: client.calls.list_backups(request, suite.timeout))
    suite.show(
        response, lambda: listings.backups([from_wire.backup(item) for item in response.backups])
    )


@app.command()
def restore(
    *,
    backup: Annotated[
        str,
        typer.Argument(metavar="BACKUP", help="As `backup list` shows it.", callback=options.named),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="CATALOG",
            help="The catalog that the backup is of; empty = --catalog.",
            callback=options.text,
        ),
    ] = "",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also into a catalog that holds products: those that the backup does not hold are"
            " deleted.",
        ),
    ] = False,
    wait: Wait = True,
    suite: Suite,
) -> None:
    """Restore a backup: products as they were, with ids, etags, times, photos and vectors.

    The whole file is checked before any of it counts. Products that are written while it runs stay
    as they were written.

    [bold]Examples[/bold]

      sightline backup restore 20260131T120000Z-1f3a9c02

      sightline backup restore 20260131T120000Z-1f3a9c02 --from default --catalog staging
    """

    async def ask(client: SightlineClient) -> job_pb2.Job:
        job = await client.restore_backup(backup, source_catalog=source, force=force)
        return await _job(client, job.job_id, wait=wait)

    following.show(suite.run(ask), suite, wait=wait)


async def _job(client: SightlineClient, job_id: str, *, wait: bool) -> job_pb2.Job:
    return await (following.follow if wait else following.get)(client, job_id)
