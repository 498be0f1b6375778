"""Consents, receipts of erasures and budgets as text for people."""

from rich.console import Group, RenderableType

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import phrase
from sightline_client.cli.show.value_tables import ValueTable, moment
from sightline_client.values.privacy import (
    ConsentDecision,
    Consents,
    ConsentState,
    ErasedStore,
    Erasure,
    PrivacyBudget,
    PrivacySpending,
)

_stores = ValueTable(
    ErasedStore,
    {
        "store": "store",
        "erased": "erased_count",
        "until": "due_time:%Y-%m-%d",
        "what is left": "text",
    },
    right=("erased",),
)
_states = ValueTable(
    ConsentState,
    {
        "purpose": lambda one: one.purpose.lower(),
        "consent": lambda one: _("granted") if one.granted else _("refused"),
        "": lambda one: _("by default") if one.by_default else "",
    },
)
_decisions = ValueTable(
    ConsentDecision,
    {
        "decided": "decide_time",
        "purpose": lambda one: one.purpose.lower(),
        "consent": lambda one: _("given") if one.granted else _("withdrawn"),
        "source": "source",
    },
)
_spendings = ValueTable(
    PrivacySpending,
    {"spent": "spend_time", "epsilon": "epsilon:g", "delta": "delta:g", "for": "text"},
    right=("epsilon", "delta"),
)


def receipt(value: Erasure) -> RenderableType:
    """Show the receipt of an erasure."""
    asked = moment(value.request_time)
    if value.complete_time is None:
        return phrase("Requested {asked}; under way as job {job_id}.", value, asked=asked)
    done = moment(value.complete_time)
    return Group(
        phrase("Erased what was stored until {asked}; complete {done}.", asked=asked, done=done),
        _stores(value.stores),
    )


def consents(value: Consents) -> RenderableType:
    """Show what a shopper consents to, and their decisions."""
    parts = [_states(value.states)]
    if value.history:
        parts += ["", _decisions(value.history)]
    if value.job_id:
        parts.append(phrase("Popularity is counted again by job {job_id}.", value))
    return Group(*parts)


def budget(value: PrivacyBudget) -> RenderableType:
    """Show what is left of a budget, and its expenses."""
    left = phrase("Epsilon {left:g} of {epsilon:g} in {days:g} days is left.", value)
    return Group(left, _spendings(value.spendings)) if value.spendings else left
