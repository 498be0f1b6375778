"""Every demo of the Makefile runs to its end, with a suite of its own."""

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[3]
ELSEWHERE = {"demo-kind"}
"""It needs Docker; the workflow of the cluster runs it."""
DEMOS = sorted(
    {*re.findall(r"^(demo[a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)}
    - ELSEWHERE
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("demo", DEMOS)
def test_a_demo_ends_well(demo: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PORT_BASE"}
    done = subprocess.run(
        ["make", demo],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
