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
