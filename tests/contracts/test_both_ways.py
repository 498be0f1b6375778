"""Services in one process give the same answers by what they lend as over channels
(tests/both_ways.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow


SENT = {
    "/sightline.ranker.v1.EventService/ListSearches",  # once a minute
    "/sightline.ranker.v1.PrivacyService/GetLastErasure",  # kept for all requests
}
"""What requests send; tests/contracts/test_channel_calls.py lists all calls."""


def asked(count: int, seed: int) -> dict[str, Any]:
    """Return the differences of random requests in a process of its own."""
    command = [sys.executable, "-m", "tests.both_ways", str(count), str(seed)]
    environment = {**os.environ, "PYTHONPATH": "deploy/local"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("count", "seed"), [(60, 1), *(pytest.param(500, n, marks=pytest.mark.full) for n in (2, 3, 4))]
)
def test_answers_do_not_depend_on_how_services_of_a_process_meet(count: int, seed: int) -> None:
    found = asked(count, seed)
    assert found["different"] == []
    assert found["sent"].keys() <= SENT, "messages between services of one process"
    kinds = found["kinds"]
    assert sum(kinds.values()) == count
    assert kinds["RecommendRequest, two pages, "] > count / 5
    assert kinds["SearchRequest, one page, "] > count / 15
    assert kinds["IMAGE_UNDECODABLE"] > 0, "no photo was embedded"
    assert kinds["ListRequest, two pages, "] > count / 15
