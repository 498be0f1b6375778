"""Queries of rules and dashboards to Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from deploy.monitoring import generate

VARIABLES = {
    "$namespace": ".*",
    "$catalog": ".*",
    "$__rate_interval": "1m",
    "$__range": "1h",
}
"""Values that Grafana inserts for its variables if all are chosen; prices are their defaults."""


def panels() -> Iterator[tuple[str, str]]:
    """Yield the query of each panel of each dashboard."""
    for board in generate.boards():
        chosen = VARIABLES | {f"${each.name}": each.default for each in board.asked}
        for panel in board.panels:
            for query in panel.queries:
                expr = query.promql
                for name, value in chosen.items():
                    expr = re.sub(rf"{re.escape(name)}\b", value, expr)
                yield f"{board.name}: {panel.title}", expr


def rules() -> Iterator[tuple[str, str]]:
    """Yield the query of each rule."""
    alerts = yaml.safe_load((generate.HERE / "alerts.yaml").read_text(encoding="utf-8"))
    for group in (*alerts["groups"], *generate.rules()["groups"]):
        rule: dict[str, Any]
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]


def expressions() -> list[str]:
    """Return the queries of panels and rules."""
    return [expr for _, expr in (*panels(), *rules())]


def names(expr: str) -> set[str]:
    """Return the metrics that an expression names; for a histogram's parts, the histogram."""
    bare = re.sub(r'"[^"]*"|\b(?:by|on|ignoring|group_left|without) *\([^)]*\)|\[[^]]*\]', "", expr)
    bare = re.sub(r"\{[^}]*\}", "{}", bare)
    found = set(
        re.findall(
            r"\b[a-z_]+:[a-z_0-9:]+|\b(?:sightline|process|nv|milvus|kube|container)_\w+|\bup\b",
            bare,
        )
    )
    return {re.sub(r"(seconds|rows|latency)_(bucket|sum|count)$", r"\1", each) for each in found}
