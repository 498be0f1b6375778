"""``sightline models online``"""

from typing import Annotated

from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import online_report


def command(
    *,
    days: Annotated[int, options.number("N", "Days of answers to report on.", 1, 365)] = 7,
    conversion_days: Annotated[
        int, options.number("N", "Days after a click within which a purchase counts.", 1, 90)
    ] = 7,
    suite: Suite,
) -> None:
    """Report on answers: clicks, purchases and hides by model, estimates for other orders, and
    drift.

    [bold]Examples[/bold]

      sightline models online --days 28

      sightline models online --json | jq .groups
    """
    suite.answer(
        lambda client: client.online_report(days=days, conversion_days=conversion_days),
        online_report.report,
    )
