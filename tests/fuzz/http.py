"""Requests over HTTP that schemathesis makes from the description at /openapi.json, sent to a suite
with the example wines. See https://schemathesis.readthedocs.io."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from examples.wines import loading
from examples.wines.local import free_port_base, own
from local_suite.model import SuiteError
from local_suite.programs import ALL, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests.fuzz import http_bodies, http_idle, logs
from tests.fuzz.model import Result

ROOT = Path(__file__).parents[2]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
HOOKS = "tests.fuzz.http_hooks"
EXAMPLES = 25
"""Mutated requests of each call, as far as the time allows."""
MOST_MINUTES = 30
MORE_SECONDS = 120.0
"""Seconds after its own limit in which schemathesis has to end."""
NO_FAILURE = "over HTTP: no failure, as described"
_SHOWN = 3_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the run over HTTP."""
    text = f"of requests over HTTP, 0 to {MOST_MINUTES}"
    parser.add_argument("--http-minutes", type=float, default=5, help=text)


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a message unless the options are valid."""
    if not 0 <= options.http_minutes <= MOST_MINUTES:
        parser.error(f"--http-minutes has to be from 0 to {MOST_MINUTES}")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> Result:
    """Send requests to a suite of its own. Return the checks."""
    result = Result()
    if not options.http_minutes:
        result.leave_out("over HTTP", "--http-minutes 0")
        return result
    try:
        with own(lambda data: _suite(data, say)) as suite:
            asyncio.run(_loaded(suite))
            marks = logs.marks(suite)
            say(f"schemathesis sends requests to {suite.http}")
            _judge(result, *_sent(suite, options))
            idle = asyncio.run(http_idle.hold(suite))
            result.add(f"over HTTP: {http_idle.COUNT:,} idle connections", idle.held, idle.measured)
            bodies = asyncio.run(http_bodies.check(options.seed))
            result.add("over HTTP: bodies before admission", bodies.held, bodies.measured)
            guilty = logs.guilty(suite, marks)
            result.add("over HTTP: nothing in the logs", not guilty, _first(guilty))
            down = [name for name, each in suite.programs.items() if not each.healthy()]
            result.add("over HTTP: the suite is well", not down, ", ".join(down) or "all programs")
    except (SuiteError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        result.miss("over HTTP", str(error))
    return result


def _suite(data: Path, say: Callable[[str], None]) -> Suite:
    return Suite(data, sightline(data, free_port_base(), target=ALL, vision=True), report=say)


async def _loaded(suite: Suite) -> None:
    async with SightlineClient(suite.addresses()["gateway"], timeout=30) as client:
        await loading.load_all(client)


def _sent(suite: Suite, options: argparse.Namespace) -> tuple[Mapping[str, Any], str]:
    """Return the report of schemathesis, and what it printed."""
    seconds = options.http_minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
                *("--config-file", str(CONFIGURATION), "run", f"{suite.http}/openapi.json"),
                *("--url", suite.http),
                *("--max-time", str(round(seconds)), "--max-examples", str(EXAMPLES)),
                *("--seed", str(options.seed), "--report-json-path", str(report)),
            ],
            cwd=folder,
            env={**_environment(), "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + MORE_SECONDS,
        )
        if not report.exists():
            raise ValueError(f"schemathesis: {(done.stdout + done.stderr)[-_SHOWN:]}")
        return json.loads(report.read_text("utf-8")), done.stdout


def _environment() -> Mapping[str, str]:
    """Return this process's environment without proxies, which are not for this machine."""
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}


def _judge(result: Result, report: Mapping[str, Any], printed: str) -> None:
    cases, operations = report["test_cases"], report["operations"]
    found = len(report["failures"]) + len(report["errors"])
    measured = (
        f"{cases['generated']:,} requests of {operations['tested']} of {operations['total']} calls,"
        f" {found} failures"
    )
    if found:
        measured += "\n" + re.split("= (?:ERRORS|FAILURES) =", printed, maxsplit=1)[-1][:_SHOWN]
    result.add(NO_FAILURE, not found and cases["generated"] > 0, measured)
    left = operations["total"] - operations["tested"]
    result.add("over HTTP: every call was tried", not left, f"{left} were not" if left else "all")


def _first(guilty: list[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {line}" for name, line in guilty[:2]) or "no internal error"
