"""``sightline config``"""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.cli.base import running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import QUICK, Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, tables
from sightline_client.cli.work import services
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import SightlineError
from sightline_client.version import VERSION

app = Commands(no_args_is_help=True, help="Check the configuration of the command line.")


async def status_and_version(client: SightlineClient) -> tuple[admin.GetStatusResponse, str]:
    """Return the suite's status and the gateway's version (empty if unknown)."""
    calls, timeout = client.calls, client.timeout
    request = admin.GetStatusRequest(catalog_id=client.catalog)
    message = await calls(calls.admin.GetStatus, request, timeout)
    try:
        # An answer names the gateway's version.
        one = rec.RecommendRequest(catalog_id=client.catalog, page_size=1)
        answer = await calls(calls.recommendation.Recommend, one, timeout)
    except SightlineError:
        return message, ""  # nothing to recommend yet, or a part is down
    return message, answer.versions.service_version


def _services(value: list[str] | None) -> list[str] | None:
    if unknown := [repr(each) for each in value or () if each not in services.PROCESSES]:
        known = ", ".join(services.PROCESSES)
        raise typer.BadParameter(
            _(
                "unknown service {unknown}; known services: {known}",
                unknown=", ".join(unknown),
                known=known,
            )
        )
    return value


@app.command()
def check(
    *,
    service: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            callback=_services,
            help="Check instead this service's settings in the environment, and the files of"
            " keys, tokens and certificates that they name. The service must be installed here."
            " May be given several times.",
        ),
    ] = None,
    suite: Suite = QUICK,
) -> None:
    """Check that the gateway answers and has the catalog; print the versions.

    Exit code 0 = both hold, even when parts of the suite are down: `sightline status` shows
    those. With --service: 0 = each would start.

      sightline config check --target shop.example:8600 --catalog shoes
    """
    if service:
        _would_start(service)
        return
    message, gateway = suite.run(status_and_version)
    target, catalog = suite.target, suite.catalog
    value = from_wire.status(message)
    if suite.json:
        versions = {"clientVersion": VERSION, "gatewayVersion": gateway, "target": target}
        running.show_facts({"catalog": catalog} | versions | {"status": running.facts(message)})
        return
    space = value.visual_space
    lines = [
        _(
            "gateway: {target} answers, version {gateway}",
            target=target,
            gateway=gateway or _("not known"),
        ),
        _(
            "catalog: {catalog} is there, with {products} products",
            catalog=catalog,
            products=tables.count(value.products),
        ),
        _("client: version {version}", version=VERSION),
        _("visual space: {version}", version=space.version if space else _("not known")),
        _("ranking model: {model_version}", model_version=value.model_version or _("none yet")),
    ]
    running.show(Text("\n".join(grids.plain(line) for line in lines)))


def _would_start(names: Sequence[str]) -> None:
    """Print what each service reports. Exit with 1 if one would not start."""
    good = True
    for name in dict.fromkeys(names):
        said, starts = services.check(name)
        lines = "\n  ".join(map(grids.plain, said.splitlines()))
        running.show(Text(f"{name}: {lines}"), whole_lines=True)
        good = good and starts
    if not good:
        raise typer.Exit(1)
