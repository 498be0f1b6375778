"""Results of the parts: printed, stored, and written into lab/research/cluster.md."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.chaos.model import Report
from tests.cluster.tools import ROOT
from tests.fuzz.model import Check, Verdict

STORED = ROOT / ".cache/cluster-results.json"
TRANSCRIPT = ROOT / ".cache/cluster-transcript.txt"
INSTALLED = ROOT / "lab/research/installation.md"
CURVES = ROOT / ".cache/cluster-curves.md"
SCALED = ROOT / "lab/research/autoscaling.md"
LINES = 6
"""Lines of a command's output that the transcript shows."""
PAGE = ROOT / "lab/research/cluster.md"
WORDS = {Verdict.HELD: "MET", Verdict.VIOLATED: "MISSED", Verdict.NOT_MEASURED: "NOT MEASURED"}


@dataclass(frozen=True, slots=True)
class Row:
    """One promise and what was measured."""

    promise: str
    verdict: str
    measured: str


@dataclass(frozen=True, slots=True)
class Part:
    """Results of a part."""

    rows: list[Row]
    seconds: float


@dataclass(slots=True)
class Timeline(Report):
    """A report that knows the time of its run."""

    started: float = field(default_factory=time.monotonic)

    def said(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started


def part(checks: Sequence[Check], seconds: float) -> Part:
    """Return the results of a part."""
    rows = [Row(each.name, WORDS[each.verdict], each.measured) for each in checks]
    return Part(rows, round(seconds, 1))


def show(console: Console, parts: Mapping[str, Part]) -> None:
    """Print the tables."""
    for name, each in parts.items():
        table = Table("promise", "verdict", "measured", box=box.SIMPLE_HEAD)
        table.title = f"{name}, {each.seconds:.0f} s"
        for row in each.rows:
            style = "" if row.verdict == "MET" else "bold red"
            table.add_row(row.promise, Text(row.verdict, style=style), Text(row.measured))
        console.print(table)


def store(parts: Mapping[str, Part]) -> None:
    """Keep the results of these parts, and those of earlier runs of the others."""
    known = json.loads(STORED.read_text()) if STORED.exists() else {}
    known |= {name: asdict(each) for name, each in parts.items()}
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps(known, indent=1))


def tables(parts: Mapping[str, Mapping[str, object]], order: Sequence[str]) -> str:
    """Return the page's tables."""
    lines = []
    for name in order:
        if name not in parts:
            continue
        found = parts[name]
        lines += [f"**`{name}`**, {found['seconds']:.0f} s", ""]
        lines += ["| promise | verdict | measured |", "| --- | --- | --- |"]
        rows = found["rows"]
        assert isinstance(rows, list)
        for row in rows:
            cells = (row["promise"], row["verdict"], row["measured"])
            words = (" ".join(str(each).split()).replace("|", "\\|") for each in cells)
            lines.append(f"| {' | '.join(words)} |")
        lines.append("")
    return "\n".join(lines)


def transcript(commands: Sequence[tuple[str, str]]) -> str:
    """Return commands with their output, of which a long one is cut."""
    said = []
    for command, output in commands:
        lines = output.rstrip().splitlines()
        few = len(lines) <= 2 * LINES
        cut = lines if few else [*lines[:LINES], f"... {len(lines) - LINES} more lines"]
        said += [f"$ {command}", *(line.rstrip() for line in cut)]
    return "\n".join(["```console", *said, "```", ""])


def store_transcript(commands: Sequence[tuple[str, str]]) -> None:
    """Keep the transcript of an installation."""
    TRANSCRIPT.parent.mkdir(exist_ok=True)
    TRANSCRIPT.write_text(transcript(commands))


def store_curves(rows: Sequence[tuple[str, str, str, str]]) -> None:
    """Keep the times at which numbers of pods changed: rush, change, measured, simulated."""
    head = ["| rush | the number of pods | measured | simulated |", "| --- | --- | --- | --- |"]
    CURVES.parent.mkdir(exist_ok=True)
    CURVES.write_text("\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows), ""]))


def write_page() -> None:
    """Replace the tables, and the transcript, of the pages with the stored results."""
    from tests.cluster.parts import PARTS

    _replace(PAGE, tables(json.loads(STORED.read_text()), list(PARTS)))
    if TRANSCRIPT.exists():
        _replace(INSTALLED, TRANSCRIPT.read_text())
    if CURVES.exists():
        _replace(SCALED, CURVES.read_text())


def _replace(page: Path, made: str) -> None:
    text = page.read_text("utf-8")
    pattern = re.compile(r"(<!-- make cluster -->\n).*?(<!-- end of make cluster -->)", re.DOTALL)
    page.write_text(pattern.sub(lambda m: f"{m[1]}{made}{m[2]}", text), "utf-8")
