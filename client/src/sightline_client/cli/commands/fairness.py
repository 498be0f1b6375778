"""``sightline fairness``"""

from sightline_client.cli.show import fairness as shown
from sightline_client.cli.work.plain_commands import PlainCommands, number, text
from sightline_client.client import SightlineClient

app = PlainCommands(help="Report how exposure is shared.")


@app.callback()
def _group() -> None:
    """Keep `report` a subcommand although it is the only one."""


app.call(
    "report",
    "Report the share of exposure of groups of products, with intervals.",
    (
        "fairness report",
        "fairness report --by attribute.seller --scene home --days 28",
        "fairness report --by popularity --shoppers-by age_band",
    ),
    SightlineClient.exposure_report,
    text(
        "by",
        "WHAT",
        "Groups of products: brand, category, popularity, newness or attribute.KEY.",
        default="brand",
    ),
    text("scene", "NAME", "Only answers of this scene."),
    number("days", "N", "Days of answers to report on.", 1, 90, default=7),
    text("shoppers_by", "KEY", "Also compare shoppers by an attribute that they gave."),
    shows=shown.report,
)
