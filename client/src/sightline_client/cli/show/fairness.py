"""Reports on exposure as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.show.tables import counted, grid, plain
from sightline_client.values.fairness import ExposureReport


def report(value: ExposureReport) -> RenderableType:
    """Show the shares of groups of products, and what groups of shoppers got."""
    source = "as shown" if value.from_impressions else "as recorded: no impressions were reported"
    outcomes = "outcomes: clicks and purchases for each unit of exposure."
    if not value.from_impressions:
        outcomes += " - = unknown, since they are counted for products with a reported impression."
    answers = counted(value.answer_count, "answer", "answers")
    period = f"{value.start_time:%Y-%m-%d} to {value.end_time:%Y-%m-%d}"
    groups = (
        (
            plain(one.value) or "(none)",
            f"{one.product_count:,}",
            f"{one.share:.1%}",
            _interval(one.share_low, one.share_high),
            _figure(one.outcomes_per_exposure, ".3f"),
        )
        for one in value.groups
    )
    headers = ("products", "shown", "exposure", "95% interval", "outcomes")
    right = ("shown", "exposure", "95% interval", "outcomes")
    parts: list[RenderableType] = [
        Text(f"{answers}, {period}, {source}."),
        grid(headers, groups, right=right),
        Text(outcomes),
    ]
    if value.shoppers:
        shoppers = (
            (
                plain(one.value),
                f"{one.shopper_count:,}",
                f"{one.answer_count:,}",
                _figure(one.success_share, ".1%"),
                _interval(one.success_low, one.success_high),
            )
            for one in value.shoppers
        )
        names = ("shoppers", "number", "answers", "successful", "95% interval")
        parts += ["", grid(names, shoppers, right=names[1:])]
    return Group(*parts)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.1%} to {high:.1%}"
