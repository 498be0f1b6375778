"""Prints a bench's result and writes it as JSON: a summary in Git, and all samples beside it.

`results/<bench>.json` is the newest summary of a bench and is committed; `results/raw/` has all
samples of each run and is ignored by Git.
"""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from bench.harness.model import BenchResult, BenchTable, Goal

RESULTS = Path(__file__).resolve().parents[1] / "results"
RAW = "raw"
"""The folder of samples below that of summaries."""
MOST_SAMPLES = 24
"""Maximum length of a list of numbers in a summary; longer ones are described."""
DIGITS = 6
"""Significant digits of a summary's numbers."""
_FLAT = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
"""A list of JSON without lists or objects in it, spread over several lines."""


def show(console: Console, result: BenchResult, machine: Mapping[str, object]) -> None:
    """Print tables, goals, warnings and the machine."""
    for table in result.tables:
        console.print()
        console.print(_table(table))
    console.print()
    for goal in result.goals:
        console.print(Text(verdict(goal)))
    if not result.goals:
        console.print(Text("Goals: this bench has none yet."))
    for warning in result.warnings:
        console.print(Text(f"Beware: {warning}", style="yellow"))
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    console.print(Text(f"Machine: {facts}"))


def verdict(goal: Goal) -> str:
    """Return a goal's line: MET, MISSED or NOT MEASURED, with the interval."""
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
        f" ({_figure(found.low)} to {_figure(found.high)}){goal.note and f'; {goal.note}'}"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write(
    folder: Path,
    name: str,
    result: BenchResult,
    *,
    machine: Mapping[str, object],
    versions: Mapping[str, str],
    commit: str,
    now: datetime,
    seconds: float,
) -> Path:
    """Replace the bench's summary and write its samples. Return the summary's path.

    The samples' name is ``<name>-<date>-<commit>.json``: a second run of the same day and commit
    replaces them.
    """
    moment = now.astimezone(UTC)
    content: dict[str, object] = {
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
    _replace(folder / RAW / f"{name}-{moment:%Y-%m-%d}-{commit}.json", content)
    return _replace(folder / f"{name}.json", summary(content))


def summary(value: object) -> object:
    """Return the value with long lists of numbers described and numbers rounded."""
    if isinstance(value, Mapping):
        return {name: summary(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        numbers = [each for each in value if type(each) in {int, float}]
        if len(numbers) == len(value) > MOST_SAMPLES:
            return _described(numbers)
        return [summary(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _described(samples: Sequence[float]) -> object:
    ordered = sorted(samples)
    return summary(
        {
            "samples": len(ordered),
            "least": ordered[0],
            "p50": statistics.median(ordered),
            "p99": ordered[round(0.99 * (len(ordered) - 1))],
            "most": ordered[-1],
            "mean": statistics.fmean(ordered),
        }
    )


def _replace(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, allow_nan=False)
    text = _FLAT.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(text + "\n")
    unfinished.replace(path)
    return path


def _goals(goals: Sequence[Goal]) -> list[dict[str, object]]:
    return [{**asdict(goal), "verdict": goal.verdict} for goal in goals]


def _table(value: BenchTable) -> Group:
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
