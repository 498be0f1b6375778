"""``sightline backup``"""

from typing import Annotated

import typer
from rich.text import Text

from sightline.retriever.v1 import backup_service_pb2
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import listings
from sightline_client.cli.work import following
from sightline_client.convert import from_wire

app = Commands(no_args_is_help=True, help="Copy a catalog, and restore it.")


@app.command()
def create(*, wait: options.Wait = True, suite: Suite) -> None:
    """Copy a snapshot of the catalog; writes may continue meanwhile.

    Products, photos, vectors and index generations are written to a folder in the store that the
    suite's setting RETRIEVER_BACKUPS names.

    [bold]Examples[/bold]

      sightline backup create

      sightline backup create --json | jq -r '.results[] | select(.name == "backup_id").value'
    """
    following.carry_out(suite, lambda client: client.create_backup(), wait=wait)


@app.command("list")
def list_(
    *,
    top: Annotated[
        int, options.number("N", "Maximum number of backups, newest first.", 1, 200)
    ] = 20,
    suite: Suite,
) -> None:
    """List the backups of a catalog, newest first.

    [bold]Example[/bold]

      sightline backup list
    """
    suite.call(
        lambda calls: calls.admin.ListBackups,
        backup_service_pb2.ListBackupsRequest(catalog_id=suite.catalog, page_size=top),
        lambda answer: listings.backups([from_wire.backup(item) for item in answer.backups]),
    )


@app.command()
def delete(
    *,
    backup: Annotated[str, options.argument("BACKUP", "As `backup list` shows it.")],
    suite: Suite,
) -> None:
    """Delete a backup. One that does not exist counts as deleted.

    [bold]Example[/bold]

      sightline backup delete 20260131T120000Z-1f3a9c02
    """
    suite.call(
        lambda calls: calls.admin.DeleteBackup,
        backup_service_pb2.DeleteBackupRequest(catalog_id=suite.catalog, backup_id=backup),
        lambda answer: Text(_("deleted {size:,.1f} MB", size=answer.size / 1000000.0)),
    )


@app.command()
def restore(
    *,
    backup: Annotated[str, options.argument("BACKUP", "As `backup list` shows it.")],
    source: Annotated[
        str,
        options.words(
            "--from",
            metavar="CATALOG",
            help="Catalog that the backup was made of; default: --catalog.",
        ),
    ] = "",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Restore into a catalog that is not empty; products missing from the backup are "
            "deleted.",
        ),
    ] = False,
    accept_unsigned: Annotated[
        bool,
        typer.Option(
            "--accept-unsigned",
            help="Accept a backup without a valid signature of the operator. Its origin is not "
            "verified.",
        ),
    ] = False,
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Restore a backup: products as they were, with ids, etags, times, photos and vectors.

    All files are verified before any is used. Products written during the restore are kept as
    written.

    [bold]Examples[/bold]

      sightline backup restore 20260131T120000Z-1f3a9c02

      sightline backup restore 20260131T120000Z-1f3a9c02 --from default --catalog staging
    """
    following.carry_out(
        suite,
        lambda client: client.restore_backup(
            backup, source_catalog=source, force=force, accept_unsigned=accept_unsigned
        ),
        wait=wait,
    )
