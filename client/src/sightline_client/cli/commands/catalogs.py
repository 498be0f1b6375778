"""``sightline catalogs``"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.commands import catalog_aliases
from sightline_client.cli.language import _
from sightline_client.cli.show import listings
from sightline_client.cli.work import following
from sightline_client.cli.work.plain_commands import (
    Given,
    PlainCommands,
    argument,
    etag,
    number,
    text,
    texts,
    top,
)
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.values.catalogs import SteeredBy

app = PlainCommands(
    help="Create, change and list catalogs while the suite runs.",
    table=listings.catalogs,
)
app.add_typer(catalog_aliases.app, name="alias")


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


_CATALOG_ID = argument(
    "catalog_id",
    "CATALOG",
    "Id of the catalog: 1 to 63 of a-z, 0-9, - and _, starting with a-z or 0-9.",
)


class ScenesFrom(StrEnum):
    """What steers the scenes of a catalog."""

    FILES = "files"
    RECORD = "record"


_STEERED = "What steers the scenes of the catalog: files of the gateway, or published ones."
_QUOTAS = "Factor of the quotas of each caller in this catalog, 0.01 to 100; default: 1."
_WRITTEN = (
    _CATALOG_ID,
    text("name", "TEXT", "Name for people.", default=None, to="display_name"),
    text(
        "language",
        "CODE",
        "Language of answers to requests that name none, e.g. de; default: English.",
        default=None,
        to="language_code",
    ),
    texts("label", "NAME=VALUE", "Label, for your tools. Repeatable.", to="labels", by=_labels),
    Given(
        "quota_share",
        Annotated[float | None, options.number("FACTOR", 0.01, 100, help=_QUOTAS)],
        None,
    ),
    Given(
        "steered_by",
        Annotated[ScenesFrom | None, typer.Option(help=_STEERED)],
        None,
        by=lambda given: SteeredBy[given.name],
    ),
)
app.call(
    "create",
    "Create a catalog. It can be used at once, with `--catalog CATALOG`.",
    'catalogs create staging --name "Staging shop" --language de --label team=shop',
    SightlineClient.create_catalog,
    *_WRITTEN,
)
app.call(
    "show",
    "Show a catalog.",
    "catalogs show staging",
    SightlineClient.get_catalog,
    _CATALOG_ID,
)
app.rows(
    "list",
    "List the catalogs that the token permits, by id.",
    "catalogs list",
    "admin.ListCatalogs",
    top("Maximum number, by id.", 100),
    reads=from_wire.registered_catalog,
)
app.call(
    "update",
    "Change what is given of a catalog. Labels replace all former ones.",
    "catalogs update staging --quota-share 0.5",
    SightlineClient.update_catalog,
    *_WRITTEN,
    etag("Change it only if it still has this etag, as shown with --json."),
)


@app.command()
def copy(
    *,
    catalog_id: Annotated[str, options.argument("CATALOG")],
    new_id: Annotated[str, options.argument("NEW")],
    wait: options.Wait = True,
    suite: Suite,
) -> None:
    """Copy a catalog into a new one: products, photos, vectors and settings; no data of shoppers.

    The new catalog can be used when the copy is complete.

    sightline catalogs copy production staging

    Args:
        catalog_id: Id of the catalog to copy.
        new_id: Id of the new catalog.
    """
    following.carry_out(
        replace(suite, catalog=catalog_id), lambda client: client.copy_catalog(new_id), wait=wait
    )


app.call(
    "delete",
    """Delete a catalog: nobody can use it from now on. After the term, all services remove what
    they have of it.

    `catalogs show` shows when that begins, and which services are not done yet.""",
    "catalogs delete staging --undo-days 1",
    SightlineClient.delete_catalog,
    _CATALOG_ID,
    number(
        "undo_days", "DAYS", "Days for which it can be restored, 0 to 365.", 0, 365, default=7.0
    ),
)
app.call(
    "undelete",
    "Restore a deleted catalog, with all its content.",
    "catalogs undelete staging",
    SightlineClient.undelete_catalog,
    _CATALOG_ID,
)
