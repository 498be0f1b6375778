"""Reports on exposure as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.show.tables import counted
from sightline_client.cli.show.value_tables import ValueTable, interval
from sightline_client.values.fairness import ExposureGroup, ExposureReport, ShopperOpportunity

_groups = ValueTable(
    ExposureGroup,
    {
        "products": lambda one: one.value or _("(none)"),
        "shown": "product_count",
        "exposure": "share:.1%",
        "95% interval": lambda one: interval(one.share_low, one.share_high, ".1%"),
        "outcomes": "outcomes_per_exposure:.3f",
    },
    right=("shown", "exposure", "95% interval", "outcomes"),
)
_shoppers = ValueTable(
    ShopperOpportunity,
    {
        "shoppers": "value",
        "number": "shopper_count",
        "answers": "answer_count",
        "successful": "success_share:.1%",
        "95% interval": lambda one: interval(one.success_low, one.success_high, ".1%"),
    },
    right=("number", "answers", "successful", "95% interval"),
)


def report(value: ExposureReport) -> RenderableType:
    """Show the shares of groups of products, and what groups of shoppers got."""
    source = (
        _("as shown") if value.from_impressions else _("as recorded: no impressions were reported")
    )
    outcomes = _("outcomes: clicks and purchases for each unit of exposure.")
    if not value.from_impressions:
        outcomes += _(
            " – = unknown, since they are counted for products with a reported impression."
        )
    answers = counted(value.answer_count, "answer", "answers")
    period = _("{start_time:%Y-%m-%d} to {end_time:%Y-%m-%d}", value)
    parts: list[RenderableType] = [
        phrase("{answers}, {period}, {source}.", answers=answers, period=period, source=source),
        _groups(value.groups),
        Text(outcomes),
    ]
    if value.shoppers:
        parts += ["", _shoppers(value.shoppers)]
    return Group(*parts)
