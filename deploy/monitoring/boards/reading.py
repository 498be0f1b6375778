"""Reads the dashboards of this folder.

Words in capitals stand for others: the `terms` of a board, the jobs of the suite (PROCESSES), and the
shares that objectives promise (GOOD_LATENCY). A limit may be the name of an objective: the share of
bad requests that it allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring.boards.model import (
    GREEN,
    RED,
    YELLOW,
    Board,
    Panel,
    PanelQuery,
    PanelRow,
    Variable,
)
from deploy.monitoring.slo import Slos

HERE = Path(__file__).parent
PROCESSES = "all|gateway|embedder|retriever|retriever-worker|ranker|ranker-worker|vision|vision-worker|triton"
"""Jobs of the suite, as a regular expression."""
NUMBER_WIDTH = 4
"""Width of a panel with a number."""

Terms = Mapping[str, str]


def board(name: str, slos: Slos) -> Board:
    """Return the dashboard of a file of this folder. Raise KeyError or TypeError for a wrong key."""
    given = _yaml(HERE / f"{name}.yaml")
    promised = {f"GOOD_{each.upper()}": f"{1 - slo.allowed:.0%}" for each, slo in slos.slos.items()}
    terms: Terms = {"PROCESSES": PROCESSES} | promised
    for term, text in given.get("terms", {}).items():
        terms = {**terms, term: _filled(text, terms)}
    rows = tuple(_row(each, terms, slos) for each in given["rows"])
    asked = tuple(Variable(**each) for each in given.get("asked", ()))
    return Board(name, given["title"], given["says"], rows, asked)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _row(given: Mapping[str, Any], terms: Terms, slos: Slos) -> PanelRow:
    """Return a row: its own panels, or those that several boards have (rows.yaml)."""
    match given.get("of"):
        case None:
            return PanelRow(given["title"], _panels(given["panels"], terms, slos))
        case "objectives":
            return _objectives(slos)
        case kind:
            shared = _yaml(HERE / "rows.yaml")[kind]
            return _row(shared, {**terms, **given}, slos)


def _panels(given: Sequence[Mapping[str, Any]], terms: Terms, slos: Slos) -> tuple[Panel, ...]:
    return tuple(_panel(each, terms, slos) for each in given)


def _panel(given: Mapping[str, Any], terms: Terms, slos: Slos) -> Panel:
    limits = given.get("limits", {}).items()
    queries = given["queries"].items()
    made = {
        "says": _filled(given["says"], terms),
        "queries": tuple(PanelQuery(_filled(expr, terms), legend) for legend, expr in queries),
        "limits": {_limit(level, slos): color for level, color in limits},
    }
    width = {"width": NUMBER_WIDTH} if given.get("number") else {}
    return Panel(**{**width, **given, **made})


def _limit(level: float | str, slos: Slos) -> float:
    return slos.slos[level].allowed if isinstance(level, str) else float(level)


def _filled(text: str, terms: Terms) -> str:
    """Return a text with what its words in capitals stand for."""
    return re.sub(r"\b[A-Z_]+\b", lambda word: terms.get(word[0], word[0]), text)


def _objectives(slos: Slos) -> PanelRow:
    """Return the row of what is left of the budgets, and how fast they are spent."""
    budgets = (
        Panel(
            name.capitalize(),
            f"{slo.promise} Objective: {slo.objective:g}% over {slos.days} days. The value is the "
            "remaining error budget: 100% = nothing spent, below 0 = the objective is missed.",
            (_left(name),),
            "percentunit",
            width=NUMBER_WIDTH,
            number=True,
            base=RED,
            limits={0.0: YELLOW, 0.25: GREEN},
        )
        for name, slo in slos.slos.items()
    )
    burning = Panel(
        "Burn rates",
        "The share that was bad in the last hour, as a multiple of what the objective allows. At 1 the budget "
        f"lasts exactly {slos.days} days; at 14.4 for an hour, or 6 for six hours, an alert fires.",
        (
            PanelQuery(
                "max by (slo) (sightline:slo_error_ratio:1h{@})"
                " / on (slo) (1 - max by (slo) (sightline:slo_objective))",
                "{{slo}}",
            ),
        ),
        "short",
        width=24,
        limits={1.0: YELLOW, 6.0: RED},
    )
    return PanelRow("Objectives", (*budgets, burning))


def _left(name: str) -> PanelQuery:
    return PanelQuery(f'min by (slo) (sightline:slo_budget_left:ratio{{@, slo="{name}"}})', "left")
