"""``sightline catalogs``"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import typer

from sightline.retriever.v1 import catalog_registry_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.commands import catalog_aliases
from sightline_client.cli.language import _
from sightline_client.cli.show import listings
from sightline_client.cli.work import following
from sightline_client.convert import from_wire

app = Commands(
    no_args_is_help=True,
    help="Create, change and list catalogs while the suite runs.",
)
app.add_typer(catalog_aliases.app, name="alias")

CatalogId = Annotated[
    str,
    options.argument(
        "CATALOG", "Id of the catalog: 1 to 63 of a-z, 0-9, - and _, starting with a-z or 0-9."
    ),
]
Name = Annotated[str | None, options.words("--name", metavar="TEXT", help="Name for people.")]
Language = Annotated[
    str | None,
    options.words(
        "--language",
        metavar="CODE",
        help="Language of answers to requests that name none, e.g. de; default: English.",
    ),
]
Labels = Annotated[
    list[str] | None,
    options.words("--label", metavar="NAME=VALUE", help="Label, for your tools. Repeatable."),
]
QuotaShare = Annotated[
    float | None,
    options.number(
        "FACTOR",
        "Factor of the quotas of each caller in this catalog, 0.01 to 100; default: 1.",
        0.01,
        100,
    ),
]


@app.command()
def create(
    *,
    catalog_id: CatalogId,
    name: Name = None,
    language: Language = None,
    label: Labels = None,
    quota_share: QuotaShare = None,
    suite: Suite,
) -> None:
    """Create a catalog. It can be used at once, with `--catalog CATALOG`.

    [bold]Example[/bold]

      sightline catalogs create staging --name "Staging shop" --language de --label team=shop
    """
    suite.answer(
        lambda client: client.create_catalog(
            catalog_id,
            display_name=name or "",
            language_code=language or "",
            labels=_labels(label or []),
            quota_share=1.0 if quota_share is None else quota_share,
        ),
        lambda made: listings.catalogs([made]),
    )


@app.command()
def show(*, catalog_id: CatalogId, suite: Suite) -> None:
    """Show a catalog.

    [bold]Example[/bold]

      sightline catalogs show staging
    """
    suite.answer(
        lambda client: client.get_catalog(catalog_id), lambda found: listings.catalogs([found])
    )


@app.command("list")
def list_(
    *,
    top: Annotated[int, options.number("N", "Maximum number, by id.", 1, 1000)] = 100,
    suite: Suite,
) -> None:
    """List the catalogs that the token permits, by id.

    [bold]Example[/bold]

      sightline catalogs list
    """
    suite.call(
        lambda calls: calls.admin.ListCatalogs,
        pb.ListCatalogsRequest(catalog_id=suite.catalog, page_size=top),
        lambda answer: listings.catalogs(
            [from_wire.registered_catalog(one) for one in answer.catalogs]
        ),
    )


@app.command()
def update(
    *,
    catalog_id: CatalogId,
    name: Name = None,
    language: Language = None,
    label: Labels = None,
    quota_share: QuotaShare = None,
    etag: Annotated[
        str,
        options.words(
            metavar="ETAG", help="Change it only if it still has this etag, as shown with --json."
        ),
    ] = "",
    suite: Suite,
) -> None:
    """Change what is given of a catalog. Labels replace all former ones.

    [bold]Example[/bold]

      sightline catalogs update staging --quota-share 0.5
    """
    suite.answer(
        lambda client: client.update_catalog(
            catalog_id,
            display_name=name,
            language_code=language,
            labels=None if label is None else _labels(label),
            quota_share=quota_share,
            etag=etag,
        ),
        lambda changed: listings.catalogs([changed]),
    )


@app.command()
def copy(
    *,
    catalog_id: Annotated[str, options.argument("CATALOG", "Id of the catalog to copy.")],
    new_id: Annotated[str, options.argument("NEW", "Id of the new catalog.")],
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Copy a catalog into a new one: products, photos, vectors and settings; no data of shoppers.

    The new catalog can be used when the copy is complete.

    [bold]Example[/bold]

      sightline catalogs copy production staging
    """
    following.carry_out(
        replace(suite, catalog=catalog_id), lambda client: client.copy_catalog(new_id), wait=wait
    )


@app.command()
def delete(
    *,
    catalog_id: CatalogId,
    undo_days: Annotated[
        float, options.number("DAYS", "Days for which it can be restored, 0 to 365.", 0, 365)
    ] = 7.0,
    suite: Suite,
) -> None:
    """Delete a catalog: nobody can use it from now on. After the term, all services remove what
    they have of it.

    `catalogs show` shows when that begins, and which services are not done yet.

    [bold]Example[/bold]

      sightline catalogs delete staging --undo-days 1
    """
    suite.answer(
        lambda client: client.delete_catalog(catalog_id, undo_days=undo_days),
        lambda deleted: listings.catalogs([deleted]),
    )


@app.command()
def undelete(*, catalog_id: CatalogId, suite: Suite) -> None:
    """Restore a deleted catalog, with all its content.

    [bold]Example[/bold]

      sightline catalogs undelete staging
    """
    suite.answer(
        lambda client: client.undelete_catalog(catalog_id),
        lambda restored: listings.catalogs([restored]),
    )


def _labels(given: list[str]) -> Mapping[str, str]:
    """Return labels from texts. BadParameter for one that is not NAME=VALUE, or is named twice."""
    found: dict[str, str] = {}
    for each in given:
        name, equal, value = each.partition("=")
        if not equal or name in found:
            raise typer.BadParameter(
                _("{each} is not NAME=VALUE, or its name is given twice", each=each),
                param_hint="--label",
            )
        found[name] = value
    return found
