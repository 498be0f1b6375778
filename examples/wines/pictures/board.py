"""Panels of a Grafana dashboard, drawn without Grafana from the data of a real Prometheus."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.wines.pictures import chart
from examples.wines.pictures.answers import template
from examples.wines.pictures.camera import Camera
from examples.wines.pictures.prometheus import Prometheus

BOARDS = Path(__file__).resolve().parents[3] / "deploy" / "monitoring" / "dashboards"
ROWS = ("Objectives", "What is asked")
"""Of the overview."""
VARIABLES = {"$namespace": ".*", "$catalog": ".*", "$__rate_interval": "10s"}
UNIT = 30
"""CSS pixels of a unit of the dashboard's grid."""
WIDTH = 1180 - 2 * 12
MOST_LINES = 6


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel with its values."""

    title: str
    kind: str
    """`stat` or `timeseries`."""
    grid: Mapping[str, int]
    unit: str
    lines: Sequence[chart.Line]
    up: chart.Axis
    seconds: float

    @property
    def value(self) -> str:
        """The last value of a stat, with its unit."""
        return shown(self.lines[0].last, self.unit) if self.lines else "–"


def shown(value: float, unit: str) -> str:
    """Return a value as Grafana writes it."""
    if unit == "percentunit":
        return f"{100 * value:,.0f}%"
    if unit == "s":
        return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
    return f"{value:.3g}" + (" req/s" if unit == "reqps" else "")


def panels(prometheus: Prometheus, since: float, until: float) -> list[Panel]:
    """Return the panels of these rows of the overview, from `since` to `until` (Unix seconds)."""
    board = json.loads((BOARDS / "overview.json").read_text("utf-8"))
    row, found = "", []
    for spec in board["panels"]:
        if spec["type"] == "row":
            row = spec["title"]
        if row in ROWS and spec["type"] != "row":
            found.append(_panel(prometheus, spec, since, until))
    return found


def _panel(prometheus: Prometheus, spec: Mapping[str, Any], since: float, until: float) -> Panel:
    series: list[tuple[str, chart.Points]] = []
    for target in spec["targets"]:
        expr = target["expr"]
        for name, value in VARIABLES.items():
            expr = expr.replace(name, value)
        for one in prometheus.between(expr, since, until):
            points = [(at - since, value) for at, value in one.points]
            series.append((_label(target["legendFormat"], one.labels), points))
    series = _highest(series)
    grid, unit = spec["gridPos"], spec["fieldConfig"]["defaults"].get("unit", "short")
    up = chart.axis(
        [y for _, points in series for _, y in points if not math.isnan(y)],
        grid["h"] * UNIT - 78,
    )
    across = chart.Axis(0, until - since, grid["w"] * WIDTH / 24 - 80, ())
    lines = [
        chart.Line(label, chart.COLOURS[place], chart.path(points, across, up), points[-1][1])
        for place, (label, points) in enumerate(series)
    ]
    return Panel(spec["title"], spec["type"], grid, unit, lines, up, until - since)


def _highest(series: Sequence[tuple[str, chart.Points]]) -> list[tuple[str, chart.Points]]:
    """Return the series with the highest values, the highest first; all if they are few."""

    def top(one: tuple[str, chart.Points]) -> float:
        return max((value for _, value in one[1] if not math.isnan(value)), default=0.0)

    if len(series) <= MOST_LINES:
        return [one for one in series if one[0]]
    return sorted(series, key=top, reverse=True)[:MOST_LINES]


def _label(pattern: str, labels: Mapping[str, str]) -> str:
    """Return a legend's text: of a method its last part, without labels the pattern."""
    text = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda name: labels.get(name[1], ""), pattern)
    return text.rpartition("Service/")[2]


def take(camera: Camera, found: Sequence[Panel]) -> None:
    """Write the picture of the overview."""
    html = template("board.html.j2", panels=found, rows=ROWS, width=WIDTH, unit=UNIT, shown=shown)
    camera.take(html, "dashboard")
