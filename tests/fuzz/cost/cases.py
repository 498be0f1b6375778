"""The most expensive requests that were found, in a file that people can read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.cost.recipes import Recipe
from tests.fuzz.cost.search import Case

FILE: Final = Path(__file__).parents[1] / "cases" / "costly.json"
PRICED: Final = ("Recommend", "Search", "ExplainRecommendation", "ListProducts", "Classify")
"""Calls whose price is known before they run; a write has one too, but is not rejected for it."""


@dataclass(frozen=True, slots=True)
class CostlyCase:
    """A request of the file."""

    recipe: Recipe
    cpu: float
    """Processor seconds that were measured."""
    code: str


def write(path: Path, cases: Iterable[Case]) -> None:
    """Write the cases, the most expensive first."""
    entries = [
        {
            "role": case.recipe.role,
            "request": case.recipe.written(),
            "bytes": case.cost.bytes,
            "code": case.cost.code,
            "processor_seconds": round(case.cost.cpu, 3),
            "by_program": dict(case.cost.by_program),
            "loop_blocked_ms": round(case.cost.blocked * 1e3),
            "blocked": case.cost.where,
        }
        for case in cases
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=2) + "\n")


def read(path: Path = FILE) -> Sequence[CostlyCase]:
    """Return the cases of a file; none before the first search wrote it."""
    if not path.exists():
        return []
    return [
        CostlyCase(Recipe(**each["request"]), each["processor_seconds"], each["code"])
        for each in json.loads(path.read_text())
    ]
