"""Reports on exposure as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid, plain
from sightline_client.cli.show.tables import counted
from sightline_client.values.fairness import ExposureReport


def report(value: ExposureReport) -> RenderableType:
    """Show the shares of groups of products, and what groups of shoppers got."""
    source = (
        _("as shown") if value.from_impressions else _("as recorded: no impressions were reported")
    )
    outcomes = _("outcomes: clicks and purchases for each unit of exposure.")
    if not value.from_impressions:
        outcomes += _(
            " - = unknown, since they are counted for products with a reported impression."
        )
    answers = counted(value.answer_count, "answer", "answers")
    period = _(
        "{start_time:%Y-%m-%d} to {end_time:%Y-%m-%d}",
        start_time=value.start_time,
        end_time=value.end_time,
    )
    groups = (
        (
            plain(one.value) or _("(none)"),
            f"{one.product_count:,}",
            f"{one.share:.1%}",
            _interval(one.share_low, one.share_high),
            _figure(one.outcomes_per_exposure, ".3f"),
        )
        for one in value.groups
    )
    headers = (_("products"), _("shown"), _("exposure"), _("95% interval"), _("outcomes"))
    right = (_("shown"), _("exposure"), _("95% interval"), _("outcomes"))
    parts: list[RenderableType] = [
        Text(_("{answers}, {period}, {source}.", answers=answers, period=period, source=source)),
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
        names = (_("shoppers"), _("number"), _("answers"), _("successful"), _("95% interval"))
        parts += ["", grid(names, shoppers, right=names[1:])]
    return Group(*parts)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else _("{low:.1%} to {high:.1%}", low=low, high=high)
