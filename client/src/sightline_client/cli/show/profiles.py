"""Profiles of shoppers and products as text for people."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _, pgettext
from sightline_client.cli.show.grids import grid, phrase, plain
from sightline_client.cli.show.tables import counted
from sightline_client.values import profiles


def shopper(value: profiles.ShopperProfile) -> RenderableType:
    """Show a shopper's profile."""
    lines = []
    if value.robot:
        lines.append(
            _("Treated as a robot: too many events for a person, so each has little weight.")
        )
    if value.activity is not None:
        events = counted(value.event_count, "event", "events")
        bought = counted(value.activity.purchase_count, "purchase", "purchases")
        lines.append(
            _(
                "{text}. From {events}, {bought} among them.",
                text=plain(value.activity.text),
                events=events,
                bought=bought,
            )
        )
    else:
        lines.append(_("No events."))
    if value.segment is not None:
        lines.append(_segment(value.segment))
    if value.attributes:
        shared = ", ".join(f"{key} {text}" for key, text in value.attributes.items())
        lines.append(_("Shared with consent: {shared}.", shared=plain(shared)))
    if value.disliked_product_ids:
        lines.append(
            _(
                "Hidden or rated low: {disliked_product_ids}.",
                disliked_product_ids=plain(_some(value.disliked_product_ids)),
            )
        )
    if not value.model_version:
        lines.append(_("No model serves: affinities are unknown."))
    return Group(*map(Text, lines), *_affinities(value.affinities))


def _affinities(values: Sequence[profiles.Affinity]) -> Iterable[RenderableType]:
    if not values:
        return
    columns = (
        _("liking"),
        _("strength"),
        _("theirs"),
        _("usual"),
        _("events"),
        pgettext("products", "from"),
    )
    rows = (
        (
            one.text,
            f"{one.strength:.2f}",
            f"{one.share:.0%}",
            f"{one.usual_share:.0%}",
            f"{one.event_count:,}",
            _some(one.product_ids),
        )
        for one in values
    )
    yield grid(columns, rows, right=columns[1:5])
    yield phrase("strength: interest beyond the usual, 0 to 1. theirs, usual: share of interest.")


def product(value: profiles.ProductProfile) -> RenderableType:
    """Show the serving model's profile of a product."""
    trend = (
        _("unknown")
        if value.trend is None
        else _("{trend:.2f} times the former rate", trend=2**value.trend)
    )
    figures = _(
        "Popularity {popularity:.0%} of the most popular product's; recently {trend}.",
        value,
        trend=trend,
    )
    return Group(*(Text(plain(text) + _(".")) for text in value.texts), Text(figures))


def segments(value: profiles.Segments) -> RenderableType:
    """Show the groups of shoppers that the serving model knows."""
    if not value.segments:
        why = _("too few shoppers") if value.model_version else _("no model serves")
        return phrase("No groups are known: {why}.", why=why)
    clear = _("clear groups") if value.silhouette >= 0.25 else _("no clear groups")
    judged = phrase("Silhouette {silhouette:.2f}: {clear}.", value, clear=clear)
    return Group(*(Text(_segment(one)) for one in value.segments), judged)


def _segment(value: profiles.Segment) -> str:
    return _("Group {segment_id}: {text} ({share:.0%} of all).", value, text=plain(value.text))


def _some(ids: Sequence[str]) -> str:
    more = _(" and {count} more", count=len(ids) - 5) if len(ids) > 5 else ""
    return ", ".join(ids[:5]) + more
