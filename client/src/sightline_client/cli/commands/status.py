"""``sightline status``"""

import typer

from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline_client.cli.base import options, running
from sightline_client.cli.show import tables
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire


def status(
    target: options.Target = options.DEFAULT_TARGET,
    catalog: options.Catalog = "default",
    timeout: options.Timeout = 5.0,
    json: options.Json = False,
) -> None:
    """Say how the suite is: its parts, the catalogue, the index, the model, the scenes.

    Exit code 0 = every part answers; 1 = some part, or the gateway itself, does not.

    [bold]Examples[/bold]

      sightline status

      sightline status --json | jq '.components[] | select(.status.code)'
    """

    async def ask(client: SightlineClient) -> admin.GetStatusResponse:
        return await client.calls.get_status(admin.GetStatusRequest(catalog_id=catalog), timeout)

    response = running.run(ask, target=target, catalog=catalog, timeout=timeout)
    value = from_wire.status(response)
    if json:
        running.show_json(response)
    else:
        running.show(tables.status(value))
    if not value.healthy:
        raise typer.Exit(1)
