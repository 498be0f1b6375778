"""What an answer costs, as numbers of calls: the same on every machine (tests/calls.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests import calls


@pytest.fixture(scope="module")
def counted() -> dict[str, calls.Counted]:
    """Return the counts of processes of their own, in which no other test has left anything."""
    return _count() | _count("--apart")


def _count(*options: str) -> dict[str, calls.Counted]:
    command = [sys.executable, "-m", "tests.calls", "--json", *options]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: calls.Counted(**each) for name, each in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", calls.limits())
def test_an_answer_takes_no_more_calls_than_its_limit(
    name: str, counted: dict[str, calls.Counted]
) -> None:
    """Find what was added with `python -m tests.calls --top 60`, or `--apart`. A limit is never
    raised."""
    assert 0 < counted[name].total <= calls.limits()[name], counted[name]


def test_every_counted_case_has_a_limit(counted: dict[str, calls.Counted]) -> None:
    assert [*counted] == [*calls.limits()]
