"""The table of all goals in lab/research/quality.md has the figures of the benches' results.

A row names its goals in a comment at its end, ``<!-- bench: goal; goal -->``, in the order of its
figures.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from bench.harness import report
from lab.places import RESEARCH, RESULTS

PAGE = RESEARCH / "quality.md"
NO_GOAL = "no goal of the bench"
_NUMBER = re.compile(r"[+−-]?\d*\.?\d+")
_GOALS = re.compile(r"<!-- (\w+): (.*) -->")


@dataclass(frozen=True, slots=True)
class GoalRow:
    """A row that is MET or MISSED."""

    goal: str
    after: str
    interval: str
    verdict: str
    where: str

    @property
    def measured(self) -> list[dict[str, Any]]:
        """Goals of the bench's results that the row names."""
        found = _GOALS.search(self.where)
        if found is None:
            return []
        results = goals(found[1])
        return [results[name] for name in found[2].split("; ")]


@cache
def goals(bench: str) -> dict[str, dict[str, Any]]:
    places = (folder / f"{bench}.json" for folder in (RESULTS, report.RESULTS))
    (path,) = (place for place in places if place.exists())
    return {each["name"]: each for each in json.loads(path.read_text("utf-8"))["goals"]}


def rows() -> list[GoalRow]:
    section = PAGE.read_text(encoding="utf-8").split("## All goals together")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    made = []
    for line in lines:
        goal, _, after, interval, _, verdict, where = (
            cell.strip() for cell in line.strip("|").split("|")
        )
        made.append(GoalRow(goal, after, interval, verdict, where))
    return [row for row in made if row.verdict.startswith(("MET", "MISSED"))]


def equal(shown: str, value: float) -> bool:
    """Return whether the first number of a text is the value, rounded to the number's digits."""
    found = _NUMBER.search(shown)
    assert found, shown
    text = found[0].replace("−", "-")
    digits = len(text.partition(".")[2])
    scale = 100 if "%" in shown else 1
    return abs(float(text) - scale * value) <= 0.5 * 0.1**digits + 1e-9


def name(row: GoalRow) -> str:
    return row.goal[:40]


@pytest.mark.parametrize("row", rows(), ids=name)
def test_a_row_is_met_or_missed_as_its_goals_are(row: GoalRow) -> None:
    if NO_GOAL in row.verdict:
        assert not row.measured
        return
    verdicts = {each["verdict"] for each in row.measured}
    assert verdicts == {re.split(r"\W", row.verdict)[0]}


@pytest.mark.parametrize("row", [row for row in rows() if row.measured], ids=name)
def test_a_rows_figures_are_those_of_its_goals(row: GoalRow) -> None:
    """The figure after is compared unless the interval alone is that of a gain."""
    gain = row.interval[0] in "+−" and row.after[0] not in "+−"
    for interval, after, each in zip(
        row.interval.split(";"), row.after.split(";"), row.measured, strict=True
    ):
        low, _, high = interval.partition(" to ")
        measured = each["measured"]
        assert equal(low, measured["low"]), (interval, measured)
        assert equal(high, measured["high"]), (interval, measured)
        assert gain or equal(after, measured["value"]), (after, measured)


@pytest.mark.parametrize(
    ("shown", "value", "same"),
    [
        (".779", 0.7794, True),
        (".779", 0.7796, False),
        ("+.020", 0.0204, True),
        ("−.062", -0.0623, True),
        ("12.4%", 0.12404, True),
        ("12.4%", 0.1246, False),
        ("325 ms", 325.4, True),
        ("325 ms", 326.0, False),
    ],
)
def test_figures_are_compared_by_their_digits(shown: str, value: float, same: bool) -> None:
    assert equal(shown, value) is same
