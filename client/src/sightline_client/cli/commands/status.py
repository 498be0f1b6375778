"""``sightline status``"""

import typer

from sightline_client.cli.base.suite import QUICK, Suite
from sightline_client.cli.show import tables


def status(*, suite: Suite = QUICK) -> None:
    """Show health and status: parts, catalog, index, model, scenes.

    Exit code 0 = every part answers; 1 = some part, or the gateway itself, does not.

      sightline status

      sightline status --json | jq '.components[] | select(.status.code)'
    """
    if not suite.answer(lambda client: client.status(), tables.status).healthy:
        raise typer.Exit(1)
