"""Profiles of shoppers and products as text for people."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.show.tables import counted, grid, plain
from sightline_client.values import profiles


def shopper(value: profiles.ShopperProfile) -> RenderableType:
    """Show a shopper's profile."""
    lines = []
    if value.robot:
        lines.append("Treated as a robot: too many events for a person, so each has little weight.")
    if value.activity is not None:
        events = counted(value.event_count, "event", "events")
        bought = counted(value.activity.purchase_count, "purchase", "purchases")
        lines.append(f"{plain(value.activity.text)}. From {events}, {bought} among them.")
    else:
        lines.append("No events.")
    if value.segment is not None:
        lines.append(_segment(value.segment))
    if value.attributes:
        shared = ", ".join(f"{key} {text}" for key, text in value.attributes.items())
        lines.append(f"Shared with consent: {plain(shared)}.")
    if value.disliked_product_ids:
        lines.append(f"Hidden or rated low: {plain(_some(value.disliked_product_ids))}.")
    if not value.model_version:
        lines.append("No model serves: affinities are unknown.")
    return Group(*map(Text, lines), *_affinities(value.affinities))


def _affinities(values: Sequence[profiles.Affinity]) -> Iterable[RenderableType]:
    if not values:
        return
    columns = ("liking", "strength", "theirs", "usual", "events", "from")
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
    yield Text("strength: interest beyond the usual, 0 to 1. theirs, usual: share of interest.")


def product(value: profiles.ProductProfile) -> RenderableType:
    """Show the serving model's profile of a product."""
    trend = "unknown" if value.trend is None else f"{2**value.trend:.2f} times the former rate"
    figures = f"Popularity {value.popularity:.0%} of the most popular product's; recently {trend}."
    return Group(*(Text(plain(text) + ".") for text in value.texts), Text(figures))


def segments(value: profiles.Segments) -> RenderableType:
    """Show the groups of shoppers that the serving model knows."""
    if not value.segments:
        why = "too few shoppers" if value.model_version else "no model serves"
        return Text(f"No groups are known: {why}.")
    clear = "clear groups" if value.silhouette >= 0.25 else "no clear groups"
    judged = Text(f"Silhouette {value.silhouette:.2f}: {clear}.")
    return Group(*(Text(_segment(one)) for one in value.segments), judged)


def _segment(value: profiles.Segment) -> str:
    return f"Group {value.segment_id}: {plain(value.text)} ({value.share:.0%} of all)."


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ", ".join(ids[:5]) + more
