"""``sightline status``"""

import typer

from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline_client.cli.base.suite import QUICK, Suite
from sightline_client.cli.show import tables
from sightline_client.convert import from_wire


def status(*, suite: Suite = QUICK) -> None:
    """Show health and status: parts, catalog, index, model, scenes.

    Exit code 0 = every part answers; 1 = some part, or the gateway itself, does not.

    [bold]Examples[/bold]

      sightline status

      sightline status --json | jq '.components[] | select(.status.code)'
    """
    request = admin.GetStatusRequest(catalog_id=suite.catalog)
    message = suite.ask(lambda calls: calls.admin.GetStatus, request)
    value = from_wire.status(message)
    suite.show(message, lambda: tables.status(value))
    if not value.healthy:
        raise typer.Exit(1)
