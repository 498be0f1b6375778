"""Consents, receipts of erasures and budgets as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import grid, plain
from sightline_client.values.privacy import Consents, Erasure, PrivacyBudget


def receipt(value: Erasure) -> RenderableType:
    """Show the receipt of an erasure."""
    asked = f"{value.request_time:%Y-%m-%d %H:%M:%S}Z"
    if value.complete_time is None:
        return Text(
            _(
                "Requested {asked}; under way as job {job_id}.",
                asked=asked,
                job_id=plain(value.job_id),
            )
        )
    rows = (
        (
            one.store,
            f"{one.erased_count:,}",
            f"{one.due_time:%Y-%m-%d}" if one.due_time else "",
            plain(one.text),
        )
        for one in value.stores
    )
    table = grid(
        (_("store"), _("erased"), _("until"), _("what is left")), rows, right=(_("erased"),)
    )
    done = f"{value.complete_time:%Y-%m-%d %H:%M:%S}Z"
    return Group(
        Text(_("Erased what was stored until {asked}; complete {done}.", asked=asked, done=done)),
        table,
    )


def consents(value: Consents) -> RenderableType:
    """Show what a shopper consents to, and their decisions."""
    states = (
        (
            one.purpose.lower(),
            _("granted") if one.granted else _("refused"),
            _("by default") if one.by_default else "",
        )
        for one in value.states
    )
    parts: list[RenderableType] = [grid((_("purpose"), _("consent"), ""), states)]
    if value.history:
        decisions = (
            (
                f"{one.decide_time:%Y-%m-%d %H:%M:%S}Z" if one.decide_time else "",
                one.purpose.lower(),
                _("given") if one.granted else _("withdrawn"),
                plain(one.source),
            )
            for one in value.history
        )
        parts += ["", grid((_("decided"), _("purpose"), _("consent"), _("source")), decisions)]
    if value.job_id:
        parts.append(
            Text(_("Popularity is counted again by job {job_id}.", job_id=plain(value.job_id)))
        )
    return Group(*parts)


def budget(value: PrivacyBudget) -> RenderableType:
    """Show what is left of a budget, and its expenses."""
    left = Text(
        _(
            "Epsilon {left:g} of {epsilon:g} in {days:g} days is left.",
            left=value.left,
            epsilon=value.epsilon,
            days=value.days,
        )
    )
    rows = (
        (
            f"{one.spend_time:%Y-%m-%d %H:%M:%S}Z" if one.spend_time else "",
            f"{one.epsilon:g}",
            f"{one.delta:g}",
            plain(one.text),
        )
        for one in value.spendings
    )
    columns = (_("spent"), _("epsilon"), _("delta"), _("for"))
    return (
        Group(left, grid(columns, rows, right=(_("epsilon"), _("delta"))))
        if value.spendings
        else left
    )
