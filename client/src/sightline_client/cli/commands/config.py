"""``sightline config``"""

from rich.text import Text

from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.cli.base import options, running
from sightline_client.cli.base.group import Commands
from sightline_client.cli.show import tables
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import SightlineError
from sightline_client.version import VERSION

app = Commands(no_args_is_help=True, help="Look whether the command line is set up well.")


async def status_and_version(
    client: SightlineClient, timeout: float
) -> tuple[admin.GetStatusResponse, str]:
    """How the suite is, and the gateway's version; empty = not known."""
    request = admin.GetStatusRequest(catalog_id=client.catalog)
    message = await client.calls.get_status(request, timeout)
    try:
        # An answer names the gateway's version.
        one = rec.RecommendRequest(catalog_id=client.catalog, page_size=1)
        return message, (await client.calls.recommend(one, timeout)).versions.service_version
    except SightlineError:
        return message, ""  # nothing to recommend yet, or a part is down


@app.command()
def check(
    *,
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 5.0,
    json: options.Json = False,
) -> None:
    """Check that the gateway answers and has the catalog, and print the versions.

    Exit code 0 = both hold, even when parts of the suite are down: `sightline status` tells of
    those.

    [bold]Example[/bold]

      sightline config check --target shop.example:8600 --catalog shoes
    """

    message, gateway = running.run(
        lambda client: status_and_version(client, timeout),
        target=target,
        catalog=catalog,
        timeout=timeout,
    )
    value = from_wire.status(message)
    if json:
        versions = {"clientVersion": VERSION, "gatewayVersion": gateway, "target": target}
        running.show_facts({"catalog": catalog} | versions | {"status": running.facts(message)})
        return
    space = value.visual_space
    lines = [
        f"gateway: {target} answers, version {gateway or 'not known'}",
        f"catalog: {catalog} is there, with {tables.count(value.products)} products",
        f"client: version {VERSION}",
        f"visual space: {space.version if space else 'not known'}",
        f"ranking model: {value.model_version or 'none yet'}",
    ]
    running.show(Text("\n".join(tables.plain(line) for line in lines)))
