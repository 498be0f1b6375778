"""An answer that is formed while products, shoppers, models or indexes change is of one state of
them (tests/changing.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.changing import CHANGES

pytestmark = pytest.mark.slow


def test_an_answer_is_as_before_a_change_or_as_after_it() -> None:
    command = [sys.executable, "-m", "tests.changing"]
    environment = {**os.environ, "PYTHONPATH": "deploy/local"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == {}
    expected = {f"{kind}, {change}" for change, (_, _, kinds) in CHANGES.items() for kind in kinds}
    assert found["cases"].keys() == expected
    assert min(found["cases"].values()) >= 2
