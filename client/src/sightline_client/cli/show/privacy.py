"""Consents, receipts of erasures and budgets as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.show.tables import grid, plain
from sightline_client.values.privacy import Consents, Erasure, PrivacyBudget


def receipt(value: Erasure) -> RenderableType:
    """Show the receipt of an erasure."""
    asked = f"{value.request_time:%Y-%m-%d %H:%M:%S}Z"
    if value.complete_time is None:
        return Text(f"Requested {asked}; under way as job {plain(value.job_id)}.")
    rows = (
        (
            one.store,
            f"{one.erased_count:,}",
            f"{one.due_time:%Y-%m-%d}" if one.due_time else "",
            plain(one.text),
        )
        for one in value.stores
    )
    table = grid(("store", "erased", "until", "what is left"), rows, right=("erased",))
    done = f"{value.complete_time:%Y-%m-%d %H:%M:%S}Z"
    return Group(Text(f"Erased what was stored until {asked}; complete {done}."), table)


def consents(value: Consents) -> RenderableType:
    """Show what a shopper consents to, and their decisions."""
    states = (
        (
            one.purpose.lower(),
            "granted" if one.granted else "refused",
            "by default" if one.by_default else "",
        )
        for one in value.states
    )
    parts: list[RenderableType] = [grid(("purpose", "consent", ""), states)]
    if value.history:
        decisions = (
            (
                f"{one.decide_time:%Y-%m-%d %H:%M:%S}Z" if one.decide_time else "",
                one.purpose.lower(),
                "given" if one.granted else "withdrawn",
                plain(one.source),
            )
            for one in value.history
        )
        parts += ["", grid(("decided", "purpose", "consent", "source"), decisions)]
    if value.job_id:
        parts.append(Text(f"Popularity is counted again by job {plain(value.job_id)}."))
    return Group(*parts)


def budget(value: PrivacyBudget) -> RenderableType:
    """Show what is left of a budget, and its expenses."""
    left = Text(f"Epsilon {value.left:g} of {value.epsilon:g} in {value.days:g} days is left.")
    rows = (
        (
            f"{one.spend_time:%Y-%m-%d %H:%M:%S}Z" if one.spend_time else "",
            f"{one.epsilon:g}",
            f"{one.delta:g}",
            plain(one.text),
        )
        for one in value.spendings
    )
    columns = ("spent", "epsilon", "delta", "for")
    return Group(left, grid(columns, rows, right=("epsilon", "delta"))) if value.spendings else left
