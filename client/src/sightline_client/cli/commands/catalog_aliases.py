"""``sightline catalogs alias``"""

from sightline_client.cli.language import later
from sightline_client.cli.show import listings
from sightline_client.cli.work.plain_commands import PlainCommands, argument, deleted, etag
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire

app = PlainCommands(
    help="Names that stand for catalogs, and switch at once.", table=listings.catalog_aliases
)

_ALIAS_ID = argument(
    "alias_id",
    "ALIAS",
    "Name: 1 to 63 of a-z, 0-9, - and _, starting with a-z or 0-9; no catalog's id.",
)
_ETAG = etag("Change it only if it still has this etag, as listed with --json.")

app.call(
    "set",
    """Let a name stand for a catalog: requests that name it are requests to the catalog.

    If it stood for another one, all requests switch at once, without an error.""",
    "catalogs alias set shop staging",
    SightlineClient.set_catalog_alias,
    _ALIAS_ID,
    argument("catalog_id", "CATALOG", "Id of the catalog."),
    _ETAG,
)
app.rows(
    "list",
    "List the aliases, with their catalogs.",
    "catalogs alias list",
    "admin.ListCatalogAliases",
    reads=from_wire.catalog_alias,
)
app.call(
    "delete",
    "Delete an alias. Its catalog stays.",
    "catalogs alias delete shop",
    SightlineClient.delete_catalog_alias,
    _ALIAS_ID,
    _ETAG,
    shows=deleted(later("there was no such alias")),
)
