"""Model of a dashboard. In a query, `@` within braces stands for the labels of the selected
namespace, `@catalog` for those of namespace and catalog.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

GREEN, YELLOW, RED = "green", "yellow", "red"


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """A PromQL expression."""

    expr: str
    legend: str = ""
    """Name of a line; `{{label}}` is replaced by the label's value."""

    @property
    def promql(self) -> str:
        """The expression with Grafana's variables instead of `@`."""
        chosen = 'namespace=~"$namespace"'
        found = self.expr.replace("@catalog", f'{chosen}, catalog=~"$catalog"')
        return re.sub(r"@(?=[,}])", chosen, found)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel."""

    title: str
    says: str
    """The panel's description: the meaning of the figure, and when to act."""
    queries: tuple[PanelQuery, ...]
    unit: str
    """One of UNITS."""
    width: int = 8
    """Width in columns, of 24."""
    number: bool = False
    """Show the current value as a number instead of lines over time."""
    stacked: bool = False
    limits: Mapping[float, str] = field(default_factory=dict)
    """Limits with the color from each on; below the first limit the color is `base`."""
    base: str = GREEN
    """Colour below the first limit."""
    most: float | None = None
    """Upper end of the axis."""


@dataclass(frozen=True, slots=True)
class PanelRow:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that viewers may change."""

    name: str
    label: str
    says: str
    default: str


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    name: str
    """Name of its file; `sightline-NAME` is its uid."""
    title: str
    says: str
    rows: tuple[PanelRow, ...]
    asked: tuple[Variable, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The panels of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)


UNITS = {
    "percentunit": "a share, 1 = 100%",
    "reqps": "requests a second",
    "ops": "operations a second",
    "s": "seconds",
    "dtdurations": "seconds as a duration",
    "bytes": "bytes",
    "short": "a number",
    "currencyUSD": "dollars",
    "cores": "processor cores",
    "watt": "watts",
}
"""Grafana's units that are used (`cores` is ours: Grafana appends what it does not know)."""


def graph(title: str, says: str, unit: str, *queries: PanelQuery, **options: object) -> Panel:
    """Return a panel of lines over time."""
    return Panel(title, says, queries, unit, **options)  # type: ignore[arg-type]


def number(title: str, says: str, unit: str, *queries: PanelQuery, **options: object) -> Panel:
    """Return a panel of the current value."""
    given = {"width": 4, "number": True} | options
    return Panel(title, says, queries, unit, **given)  # type: ignore[arg-type]


def quantiles(histogram: str, labels: str, by: str = "") -> tuple[PanelQuery, ...]:
    """Query the 50th, 95th and 99th percentile of a histogram."""
    groups = f"le, {by}" if by else "le"
    rate = f"sum by ({groups}) (rate({histogram}_bucket{{{labels}}}[$__rate_interval]))"
    name = f" {{{{{by}}}}}" if by else ""
    return tuple(
        PanelQuery(f"histogram_quantile({share}, {rate})", f"p{share:.0%}".rstrip("%") + name)
        for share in (0.5, 0.95, 0.99)
    )


def slowest(histogram: str, labels: str, by: str, share: float = 0.95) -> PanelQuery:
    """Query a quantile of a histogram for each group."""
    rate = f"sum by (le, {by}) (rate({histogram}_bucket{{{labels}}}[$__rate_interval]))"
    return PanelQuery(f"histogram_quantile({share}, {rate})", f"{{{{{by}}}}}")


def rates(counter: str, labels: str, by: str = "", *, legend: str = "") -> PanelQuery:
    """Query a counter's rate a second by label.

    `legend` names the lines where the label does not.
    """
    rate = f"(rate({counter}{{{labels}}}[$__rate_interval]))"
    named = legend or (f"{{{{{by}}}}}" if by else "")
    return PanelQuery(f"sum by ({by}) {rate}" if by else f"sum{rate}", named)


def rare(query: PanelQuery) -> PanelQuery:
    """Return a query that gives 0 instead of no data, as a counter has no series before its first
    count.
    """
    return PanelQuery(f"{query.expr} or vector(0)", query.legend)
