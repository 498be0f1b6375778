"""Every call that a service lends gives what it sends for the same input (tests/lending.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sightline_core import lending

pytestmark = pytest.mark.slow

FAIL = {"read_filter": "a filter that is not valid"}
"""Methods of which only failures are compared: others use what they return."""
LENT = {
    "retriever": lending.LentRetriever,
    "ranker": lending.LentRanker,
    "embedder": lending.LentEmbedder,
}


def test_every_lender_is_compared() -> None:
    lenders = {each for name, each in vars(lending).items() if name.startswith("Lent")}
    assert lenders == {*LENT.values()}


def test_a_lent_call_gives_what_is_sent() -> None:
    command = [sys.executable, "-m", "tests.lending"]
    environment = {**os.environ, "PYTHONPATH": "deploy/local"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    lent = {
        f"{service}.{name}"
        for service, lender in LENT.items()
        for of in lender.__mro__
        for name in vars(of)
        if of.__module__ == lending.__name__ and not name.startswith("_")
    }
    assert found.keys() == lent, "a lent call that tests/lending.py does not compare"
    assert {name: each["different"] for name, each in found.items() if each["different"]} == {}
    silent = {name for name, each in found.items() if not each["answered"]}
    assert {name.partition(".")[2] for name in silent} == FAIL.keys()
