"""``sightline backup``"""

from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show import listings
from sightline_client.cli.work.plain_commands import PlainCommands, argument, flag, text, top
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire

app = PlainCommands(help="Copy a catalog, and restore it.", table=listings.backups)
_BACKUP = argument("backup", "BACKUP", "As `backup list` shows it.", to="backup_id")

app.job(
    "create",
    """Copy a snapshot of the catalog; writes may continue meanwhile.

    Products, photos, vectors and index generations are written to a folder in the store that the
    suite's setting RETRIEVER_BACKUPS names.""",
    (
        "backup create",
        "backup create --json | jq -r '.results[] | select(.name == \"backup_id\").value'",
    ),
    SightlineClient.create_backup,
)
app.rows(
    "list",
    "List the backups of a catalog, newest first.",
    "backup list",
    "admin.ListBackups",
    top("Maximum number of backups, newest first.", 20, 200),
    reads=from_wire.backup,
)
app.message(
    "delete",
    "Delete a backup. One that does not exist counts as deleted.",
    "backup delete 20260131T120000Z-1f3a9c02",
    "admin.DeleteBackup",
    _BACKUP,
    shows=lambda answer: Text(_("deleted {size:,.1f} MB", size=answer.size / 1000000.0)),
)
app.job(
    "restore",
    """Restore a backup: products as they were, with ids, etags, times, photos and vectors.

    All files are verified before any is used. Products written during the restore are kept as
    written.""",
    (
        "backup restore 20260131T120000Z-1f3a9c02",
        "backup restore 20260131T120000Z-1f3a9c02 --from default --catalog staging",
    ),
    SightlineClient.restore_backup,
    _BACKUP,
    text(
        "source",
        "CATALOG",
        "Catalog that the backup was made of; default: --catalog.",
        option="--from",
        to="source_catalog",
    ),
    flag(
        "force",
        "Restore into a catalog that is not empty; products missing from the backup are deleted.",
    ),
    flag(
        "accept_unsigned",
        "Accept a backup without a valid signature of the operator. Its origin is not verified.",
    ),
)
