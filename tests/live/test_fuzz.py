"""A short run of `make fuzz` against the suite of all live tests."""

from pathlib import Path

import pytest

from local_suite.suite import Suite
from tests.fuzz import findings
from tests.fuzz.model import Plan, Verdict
from tests.fuzz.run import run

TRITON_GAVE_UP = {"no process died", "memory of triton"}
"""What can't be judged where Triton ended by itself; all else has to be measured, and to hold."""


async def test_rubbish_breaks_nothing(suite: Suite, tmp_path: Path) -> None:
    """Nothing answers INTERNAL, leaks, dies, grows or forgets what it acknowledged."""
    plan = Plan(
        requests=1_500,
        images=150,
        filters=30,
        seed=20,
        seconds=40,
        in_flight=8,
        train=False,
        filter_seconds=15,
    )
    result = await run(suite, plan, print)
    files = [str(path) for path in findings.write(tmp_path, result.findings)]
    wrong = [check for check in result.checks if not check.verdict.fine]
    unmeasured = {check.name for check in wrong if check.verdict is Verdict.NOT_MEASURED}
    if unmeasured == TRITON_GAVE_UP and len(wrong) == len(unmeasured):
        pytest.skip(f"NOT MEASURED: {wrong}")
    assert result.clean, (wrong, result.findings, files)
