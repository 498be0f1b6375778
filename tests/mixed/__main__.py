"""The last release's services with this one's, in both directions, under load: 0 failed requests.

0 = every promise held; 1 = one was broken or could not be put to the test.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.wines.local import terminable
from local_suite.programs import ROOT
from tests.chaos.__main__ import play, show
from tests.chaos.model import Report
from tests.contracts.released import releases
from tests.mixed.releases import last, made
from tests.mixed.run import Phase, rolled, stage
from tests.postgres import NoPostgreSQL

RESULT = ROOT / ".cache" / "mixed.json"


def mixed(named: str, seed: int, phases: list[Phase], report: Report) -> None:
    """Run all phases. Raise NotMeasured, SuiteError or OSError."""
    release = last(named=named)
    report.say(f"the last release is {release}")
    folder = made(release)
    versions = {release.version: folder, f"{releases()[0]} (this)": ROOT}
    with tempfile.TemporaryDirectory() as folders, stage(folder, Path(folders)) as (suite, server):
        report.say("its suite is up: two of each service, PostgreSQL, Milvus Lite, Triton")
        phases += asyncio.run(rolled(suite, server, versions, seed, report))


def main(arguments: Sequence[str]) -> int:
    """Run the phases, print the tables and write the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.mixed", description=__doc__)
    parser.add_argument("--release", default="", help="a commit; the last release's by itself")
    parser.add_argument("--seed", type=int, default=20, help="of all chance")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    report = Report(lambda line: console.print(Text(line, style="dim")))
    phases: list[Phase] = []
    try:
        with terminable():
            play("mixed", lambda to: mixed(options.release, options.seed, phases, to), report)
    except NoPostgreSQL as error:
        report.miss("two releases at once", str(error))
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started is stopped.")
        return 130
    rows = [phase.facts for phase in phases]
    if rows:
        table = Table(*rows[0], box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*map(str, row.values()))
        console.print(table)
    show(console, report, options.seed)
    checks = {check.name: [str(check.verdict), check.measured] for check in report.checks}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"phases": rows, "promises": checks}, indent=1))
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
