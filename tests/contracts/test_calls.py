"""What an answer costs, in calls and bytecodes: the same on every machine (tests/calls)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.calls.limits import limited, limits
from tests.calls.profilers import Counted


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    """Return the counts of processes of their own, in which no other test has left anything."""
    return _count() | _count("--apart")


def _count(*options: str) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.calls", "--json", *options]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads(done.stdout).items()
    return {key: n for name, of in cases for key, n in limited(name, Counted(**of)).items()}


@pytest.mark.parametrize("name", limits())
def test_an_answer_takes_no_more_than_its_limit(name: str, counted: dict[str, int]) -> None:
    """Find what was added with `python -m tests.calls --top 60`, with `--apart` or `--bytecodes`. A
    limit is never raised."""
    assert 0 < counted[name] <= limits()[name]


def test_every_count_has_a_limit(counted: dict[str, int]) -> None:
    assert {*counted} == {*limits()}
