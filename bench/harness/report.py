"""Prints a bench's result and keeps it as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from bench.harness.model import Goal, Result, Table

RESULTS = Path(__file__).resolve().parents[1] / "results"


def show(console: Console, result: Result, machine: Mapping[str, object]) -> None:
    """Tables, goals, warnings and the machine."""
    for table in result.tables:
        console.print()
        console.print(_table(table))
    console.print()
    for goal in result.goals:
        console.print(Text(verdict(goal)))
    if not result.goals:
        console.print(Text("Goals: none are set for this bench yet."))
    for warning in result.warnings:
        console.print(Text(f"Beware: {warning}", style="yellow"))
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    console.print(Text(f"Machine: {facts}"))


def verdict(goal: Goal) -> str:
    """A goal's line: MET, MISSED or NOT MEASURED, with the interval."""
    bounds = (("at most", goal.at_most), ("at least", goal.at_least))
    limit = ", ".join(
        f"{words} {value:,g} {goal.unit}" for words, value in bounds if value is not None
    )
    if goal.measured is None:
        why = f": {goal.missing}" if goal.missing else ""
        return f"{goal.verdict}: {goal.name} ({limit}){why}"
    found = goal.measured
    return (
        f"{goal.verdict}: {goal.name} ({limit}): {_figure(found.value)}"
        f" ({_figure(found.low)} to {_figure(found.high)})"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write(
    folder: Path,
    name: str,
    result: Result,
    *,
    machine: Mapping[str, object],
    versions: Mapping[str, str],
    commit: str,
    now: datetime,
    seconds: float,
) -> Path:
    """``<name>-<date>-<commit>.json``; a second run of the same day and commit replaces it."""
    moment = now.astimezone(UTC)
    path = folder / f"{name}-{moment:%Y-%m-%d}-{commit}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "bench": name,
        "time": moment.isoformat(timespec="seconds"),
        "commit": commit,
        "seconds": round(seconds, 1),
        "machine": machine,
        "versions": versions,
        "goals": _goals(result.goals),
        "warnings": result.warnings,
        **result.figures,
    }
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    unfinished.replace(path)
    return path


def _goals(goals: Sequence[Goal]) -> list[dict[str, object]]:
    return [{**asdict(goal), "verdict": goal.verdict} for goal in goals]


def _table(value: Table) -> Group:
    table = RichTable(
        box=box.SIMPLE_HEAD, title=Text(value.title, style="bold"), title_justify="left"
    )
    for place, header in enumerate(value.headers):
        table.add_column(header, justify="left" if place == 0 else "right")
    previous = ""
    for row in value.rows:
        section = "" if value.section is None else row[value.section]
        if previous and section != previous:
            table.add_section()
        previous = section
        table.add_row(*(Text(cell) for cell in row))
    return Group(table, Text(value.caption, style="dim"))
