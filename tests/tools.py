"""Tools that tests need and Python packages do not bring. A test whose tool is missing is not run:
it says so, and how to get the tool; `python -m tests.tools` lists those of the last run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATH = f"{ROOT / '.tools/bin'}:{os.environ['PATH']}"
"""Those that `make tools` unpacks are preferred: the system's kubectl may be too old."""
HOW = {
    "chromium": "Debian: apt install chromium",
    "node": "Debian: apt install nodejs",
    "npm": "Debian: apt install npm",
    "helm": "3.16 or later: https://helm.sh/docs/intro/install",
    "kubectl": "1.27 or later: https://kubernetes.io/docs/tasks/tools",
    "promtool": "Debian: in the package prometheus",
    "protoc": "Debian: apt install protobuf-compiler",
    "unshare": "Debian: apt install util-linux",
}
NOT_RUN = ("NOT RUN", "NOT MEASURED")
"""How the reasons of tests begin that were skipped though they should have run."""
FOLDER = ROOT / ".cache/not-run"


def tool(name: str) -> str:
    """Return the path of a tool. Without it, skip the test, or all tests of the module that calls
    this while it is imported."""
    found = shutil.which(name, path=PATH)
    if found is None:
        how = f"`make tools` as root, or {HOW[name]}"
        pytest.skip(f"NOT RUN: {name} is missing: {how}", allow_module_level=True)
    return found


class NotRun:
    """Notes the tests of a process that were not run, each with its reason."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report.nodeid, report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report.nodeid, report.longrepr)

    def pytest_sessionfinish(self) -> None:
        if self.lines:
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / f"{os.getpid()}.txt").write_text("".join(self.lines))

    def _note(self, test: str, why: object) -> None:
        if isinstance(why, tuple):  # skipped: file, line, reason
            reason = str(why[2]).removeprefix("Skipped: ")
            if reason.startswith(NOT_RUN):
                self.lines.append(f"{test}: {reason}\n")


def main() -> None:
    """Print the tests of the last run that were not run."""
    texts = (path.read_text() for path in FOLDER.glob("*.txt"))
    if found := sorted(line for text in texts for line in text.splitlines()):
        print(f"NOT RUN: {len(found)} tests or files of tests:")
        print("\n".join(f"  {line}" for line in found))


if __name__ == "__main__":
    main()
