"""``sightline fairness``"""

from typing import Annotated

from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import fairness as shown

app = Commands(no_args_is_help=True, help="Report how exposure is shared.")


@app.callback()
def _group() -> None:
    """Keep `report` a subcommand although it is the only one."""


@app.command()
def report(
    *,
    by: Annotated[
        str,
        options.words(
            metavar="WHAT",
            help="Groups of products: brand, category, popularity, newness or attribute.KEY.",
        ),
    ] = "brand",
    scene: Annotated[str, options.words(metavar="NAME", help="Only answers of this scene.")] = "",
    days: Annotated[int, options.number("N", "Days of answers to report on.", 1, 90)] = 7,
    shoppers_by: Annotated[
        str,
        options.words(metavar="KEY", help="Also compare shoppers by an attribute that they gave."),
    ] = "",
    suite: Suite,
) -> None:
    """Report the share of exposure of groups of products, with intervals.

    [bold]Examples[/bold]

      sightline fairness report

      sightline fairness report --by attribute.seller --scene home --days 28

      sightline fairness report --by popularity --shoppers-by age_band
    """
    suite.answer(
        lambda client: client.exposure_report(
            by=by, scene=scene, days=days, shoppers_by=shoppers_by
        ),
        shown.report,
    )
