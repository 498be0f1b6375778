"""The most calls and bytecodes that an answer may take."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.calls.profilers import Counted

LIMITS: Final = Path(__file__).parent.with_suffix(".toml")
MARGIN: Final = 1.03
"""Limit of a count, as a factor of what was counted when it was set."""
APART: Final = "_apart"
"""End of the names of the limits of services with processes of their own."""
BYTECODES: Final = "_bytecodes"
"""End of the names of the limits of bytecodes."""


def limits() -> dict[str, int]:
    """Return the limits by name."""
    return tomllib.loads(LIMITS.read_text("utf-8"))


def limited(name: str, counted: Counted) -> dict[str, int]:
    """Return the numbers of a case that are limited, by the names of their limits."""
    bytecodes = {f"{name}{BYTECODES}": counted.bytecodes} if counted.bytecodes else {}
    return {name: counted.calls} | bytecodes


def lower(found: Mapping[str, int]) -> None:
    """Lower limits to counts and MARGIN; none is raised. Those of other counts stay."""
    head = [line for line in LIMITS.read_text("utf-8").splitlines() if line.startswith("#")]
    lowered = {
        name: min(most, round(found.get(name, most) * MARGIN)) for name, most in limits().items()
    }
    lines = [*head, *(f"{name} = {most:_}" for name, most in lowered.items())]
    LIMITS.write_text("\n".join(lines) + "\n", "utf-8")
