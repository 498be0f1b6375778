"""The component `autoscaling` has the thresholds and the behaviour that were simulated."""

import json
from typing import Any

import pytest

from lab.places import RESULTS
from tests.contracts import scaling
from tests.contracts.k8s import with_components


def simulated() -> dict[str, Any]:
    """Return the newest result of the simulation."""
    found = [json.loads(each.read_text("utf-8")) for each in RESULTS.glob("capacity*.json")]
    if not found:
        pytest.skip("NOT MEASURED: there is no lab/results/capacity*.json yet")
    return max(found, key=lambda result: str(result["time"]))


def test_what_was_simulated_is_what_runs() -> None:
    result, made = simulated(), with_components("autoscaling")
    assert list(scaling.differences(made, result["thresholds"])) == []
    assert scaling.behaviours(made) == result["behaviour"]
