"""``sightline catalogs alias``"""

from typing import Annotated

from rich.text import Text

from sightline.retriever.v1 import catalog_registry_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import listings
from sightline_client.convert import from_wire

app = Commands(no_args_is_help=True, help="Names that stand for catalogs, and switch at once.")

AliasId = Annotated[
    str,
    options.argument(
        "ALIAS", "Name: 1 to 63 of a-z, 0-9, - and _, starting with a-z or 0-9; no catalog's id."
    ),
]
Etag = Annotated[
    str,
    options.words(
        metavar="ETAG", help="Change it only if it still has this etag, as listed with --json."
    ),
]


@app.command("set")
def set_(
    *,
    alias_id: AliasId,
    catalog_id: Annotated[str, options.argument("CATALOG", "Id of the catalog.")],
    etag: Etag = "",
    suite: Suite,
) -> None:
    """Let a name stand for a catalog: requests that name it are requests to the catalog.

    If it stood for another one, all requests switch at once, without an error.

    [bold]Example[/bold]

      sightline catalogs alias set shop staging
    """
    suite.answer(
        lambda client: client.set_catalog_alias(alias_id, catalog_id, etag=etag),
        lambda changed: listings.catalog_aliases([changed]),
    )


@app.command("list")
def list_(*, suite: Suite) -> None:
    """List the aliases, with their catalogs.

    [bold]Example[/bold]

      sightline catalogs alias list
    """
    suite.call(
        lambda calls: calls.admin.ListCatalogAliases,
        pb.ListCatalogAliasesRequest(catalog_id=suite.catalog),
        lambda answer: listings.catalog_aliases(
            [from_wire.catalog_alias(one) for one in answer.aliases]
        ),
    )


@app.command()
def delete(*, alias_id: AliasId, etag: Etag = "", suite: Suite) -> None:
    """Delete an alias. Its catalog stays.

    [bold]Example[/bold]

      sightline catalogs alias delete shop
    """
    suite.call(
        lambda calls: calls.admin.DeleteCatalogAlias,
        pb.DeleteCatalogAliasRequest(catalog_id=suite.catalog, alias_id=alias_id, etag=etag),
        lambda answer: Text(_("deleted") if answer.deleted else _("there was no such alias")),
    )
