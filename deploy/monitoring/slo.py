"""Recording rules and alerts of the service level objectives in slo.yaml.

The alerts are those of Google's SRE workbook, chapter 5: multi-window, multi-burn-rate. A burn rate
of 1 spends the error budget in exactly the objective's days; an alert fires while both a long
window and a short one burn faster than its rate, so that it ends soon after the problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

HERE = Path(__file__).parent
PAGE = "docs/operate/dashboards-and-slos.md"

Rule = dict[str, Any]


class Burn(NamedTuple):
    """Condition of an alert."""

    rate: float
    long: str
    short: str
    severity: str


BURNS = (
    Burn(14.4, "1h", "5m", "critical"),
    Burn(6, "6h", "30m", "critical"),
    Burn(1, "3d", "6h", "warning"),
)
SHORT, LONG = ("5m", "30m", "1h"), ("6h", "3d")
"""Windows by interval of computation: a long window is expensive, and changes slowly."""


class Slo(BaseModel):
    """One objective; slo.yaml describes each field."""

    model_config = ConfigDict(extra="forbid")

    objective: float = Field(gt=0, lt=100)
    promise: str
    what: str
    act: str = Field(min_length=80)
    valid: str = ""
    good: str = ""
    bad: tuple[str, ...] = ()
    good_while: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Slo:
        events = bool(self.valid) and bool(self.good) != bool(self.bad)
        if events == bool(self.good_while):
            raise ValueError("has either valid with good or bad, or good_while")
        return self

    @property
    def allowed(self) -> float:
        """The allowed bad share."""
        return round(1 - self.objective / 100, 6)

    @property
    def by(self) -> str:
        """The labels that distinguish one budget from another."""
        return "namespace, catalog" if self.good_while else "namespace"


class Slos(BaseModel):
    """The objectives of slo.yaml."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(gt=3)
    slos: dict[str, Slo]


def read(path: Path = HERE / "slo.yaml") -> Slos:
    """Read the objectives. Raise ValueError where the file is invalid."""
    return Slos.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def rules(found: Slos) -> dict[str, Any]:
    """Return a file of rules for Prometheus."""
    budget = f"{found.days}d"
    groups = {
        "sightline-slo-looks": ("30s", _looks(found)),
        "sightline-slo-short": ("30s", _ratios(found, SHORT)),
        "sightline-slo-long": ("2m", _ratios(found, LONG)),
        "sightline-slo-budget": ("4m", [*_ratios(found, (budget,)), *_budgets(found, budget)]),
        "sightline-slo-alerts": ("30s", _alerts(found)),
    }
    return {
        "groups": [
            {"name": name, "interval": interval, "rules": list(some)}
            for name, (interval, some) in groups.items()
        ]
    }


def _record(name: str, slo: str, expr: str) -> Rule:
    return {"record": name, "expr": expr, "labels": {"slo": slo}}


def _looks(found: Slos) -> Iterator[Rule]:
    """Yield conditions as 1 or 0, and objectives as a series for dashboards."""
    for name, slo in found.slos.items():
        yield _record("sightline:slo_objective", name, f"vector({slo.objective / 100:g})")
        if slo.good_while:
            yield _record("sightline:slo_good:bool", name, _as_number(slo.good_while))


def _as_number(condition: str) -> str:
    """Return the condition as 1 or 0; without `bool`, PromQL would keep or drop the series."""
    number, compared = re.subn(r" ([<>]=?|[=!]=) ", r" \1 bool ", condition)
    if compared != 1:
        raise ValueError(f"good_while: {condition}: is not one comparison")
    return number


def _ratios(found: Slos, windows: tuple[str, ...]) -> Iterator[Rule]:
    for window in windows:
        for name, slo in found.slos.items():
            yield _record(f"sightline:slo_error_ratio:{window}", name, _bad(name, slo, window))


def _bad(name: str, slo: Slo, window: str) -> str:
    """Return the query of the bad share in a window; without events it has no value."""
    if slo.good_while:
        return f'1 - avg_over_time(sightline:slo_good:bool{{slo="{name}"}}[{window}])'

    def rate(selector: str) -> str:
        return f"sum by ({slo.by}) (rate({selector}[{window}]))"

    valid = rate(slo.valid)
    # A counter without counts has no series: it is 0 where valid events exist.
    terms = " + ".join(f"({rate(each)} or 0 * {valid})" for each in (slo.bad or (slo.good,)))
    return f"{'1 - ' if slo.good else ''}({terms}) / ({valid} > 0)"


def _budgets(found: Slos, window: str) -> Iterator[Rule]:
    for name, slo in found.slos.items():
        spent = f'sightline:slo_error_ratio:{window}{{slo="{name}"}}'
        yield _record("sightline:slo_budget_left:ratio", name, f"1 - {spent} / {slo.allowed:g}")


def _alerts(found: Slos) -> Iterator[Rule]:
    for name, slo in found.slos.items():
        for burn in BURNS:
            limit = f"{burn.rate:g} * {slo.allowed:g}"
            above = (
                f'sightline:slo_error_ratio:{window}{{slo="{name}"}} > {limit}'
                for window in (burn.long, burn.short)
            )
            yield {
                "alert": alert_name(name),
                "expr": " and ".join(above),
                "labels": {"severity": burn.severity, "window": burn.long},
                "annotations": _notes(name, slo, burn, found.days),
            }


def alert_name(slo: str) -> str:
    """Return the name of an objective's alert.

    All windows share it, as its page covers each of them.
    """
    return f"Sightline{slo.capitalize()}Burn"


def _notes(name: str, slo: Slo, burn: Burn, days: int) -> Mapping[str, str]:
    spent = f"{days / burn.rate:.3g} days"
    where = " of {{ $labels.catalog }}" if slo.good_while else ""
    return {
        "summary": f"The {name} budget{where} is spent in {spent}: {slo.what}",
        "description": slo.act,
        "runbook_url": f"{PAGE}#{name}",
    }
