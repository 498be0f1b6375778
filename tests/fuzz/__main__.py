"""Send random requests to a separate suite and report faults. Exit code 0: none; 1: some."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.wines.local import free_port_base, own, terminable
from local_suite.model import SuiteError
from local_suite.programs import sightline
from local_suite.suite import Suite
from tests.fuzz import broken, callers, findings, http, judge, parts, pictures
from tests.fuzz.callers import Callers
from tests.fuzz.cost import __main__ as cost
from tests.fuzz.cost.run import Say
from tests.fuzz.model import CATALOGS, FUZZ, Plan, Result
from tests.fuzz.run import calling, run
from tests.fuzz.shop import open_shop
from tests.fuzz.surface import METHODS
from tests.fuzz.vocabulary import EXPERIMENT, RECEIVER

_FILTERS = 300
_TRIED = f"""
catalog = "{FUZZ}"
scenes = ["for-you"]
start = 2026-01-01T00:00:00Z
metric = "click_rate"
planned_units = 300
outcome_hours = 1

[[arms]]
name = "control"
share = 0.5

[[arms]]
name = "best-sellers"
share = 0.5
scene = "popular"
"""
_CHECK_SECONDS = 60.0
"""Kept of the time for the looks at the end, and for the stop."""
_FILTER_SECONDS = 30.0


def main(arguments: Sequence[str]) -> int:
    """Run, or replay one finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="mutated requests")
    parser.add_argument("--images", type=int, default=10_000, help="mutated photos")
    parser.add_argument("--seed", type=int, default=20, help="of all chance")
    parser.add_argument("--minutes", type=float, default=45, help="at most, 2 to 60, all in all")
    parser.add_argument("--findings", type=Path, default=Path(".data/fuzz"), help="folder")
    parser.add_argument("--replay", type=Path, help="send a finding's request again")
    cost.add_options(parser)
    http.add_options(parser)
    parts.add_options(parser)
    options = parser.parse_args(arguments)
    cost.check_options(parser, options)
    http.check_options(parser, options)
    if not 2 <= options.minutes <= 60:
        parser.error("--minutes has to be from 2 to 60")
    if min(options.requests, options.images) < 1:
        parser.error("--requests and --images have to be at least 1")
    began = time.monotonic()
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)

    def say(line: str) -> None:
        console.print(Text(line, style="dim"))

    try:
        with terminable():
            return _parts(options, began, console, say)
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started is stopped.")
        return 130
    except (SuiteError, OSError, ValueError, grpc.RpcError) as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        console.print(Text(f"NOT MEASURED: {error}{notes}", style="bold red"))
        return 1


def _parts(options: argparse.Namespace, began: float, console: Console, say: Say) -> int:
    """Run the parts one after another, each with a suite of its own. `began`: reading of the
    clock."""
    who = Callers.new()
    with own(partial(_suite, who, say)) as suite:
        if options.replay:
            return asyncio.run(_replay(suite, who, options, console))
        result = Result()
        if parts.REQUESTS in options.only:
            left = began + options.minutes * 60 - time.monotonic() - _CHECK_SECONDS
            plan = Plan(
                requests=options.requests,
                images=options.images,
                filters=_FILTERS,
                seed=options.seed,
                seconds=left,
                filter_seconds=_FILTER_SECONDS,
                broken=broken.photos(),
            )
            result = asyncio.run(run(suite, plan, say, who))
        asyncio.run(parts.run(suite, who, options, result, say))
        show(console, result)
        for path in findings.write(options.findings, result.findings):
            console.print(Text(f"Send again with --replay {path}"))
        if not result.clean:
            logs = options.findings / "logs"
            shutil.copytree(suite.layout.logs, logs, dirs_exist_ok=True)
            console.print(Text(f"The logs of the suite are in {logs}"))
    console.print(Text(f"Seed {options.seed}, {time.monotonic() - began:.0f} s"))
    if parts.HTTP not in options.only:
        return 0 if result.clean else 1
    over_http = http.run(options, say)
    show_checks(console, over_http)
    cheap = not options.cost_minutes or cost.run(options, say)
    return 0 if result.clean and over_http.clean and cheap else 1


def show(console: Console, result: Result) -> None:
    """Print answers by call, findings and checks."""
    calls = Table("call", "answers", "by status code", box=box.SIMPLE_HEAD)
    for method in sorted(METHODS.values(), key=lambda each: each.name):
        codes = Counter(
            {code: n for (name, code), n in result.codes.items() if name == method.name}
        )
        parts = ", ".join(f"{code} {count:,}" for code, count in codes.most_common())
        calls.add_row(method.name, f"{codes.total():,}", parts)
    console.print(calls)
    for finding in result.findings:
        where = finding.call.method.rpartition("/")[2] if finding.call else ""
        console.print(Text(f"{finding.check} {where}: {finding.why}"[:400], style="red"))
    if result.more_findings:
        console.print(Text(f"and {result.more_findings} more of the same kinds", style="red"))
    show_checks(console, result)


def show_checks(console: Console, result: Result) -> None:
    """Print the checks of a run."""
    checks = Table("check", "verdict", "measured", box=box.SIMPLE_HEAD)
    for check in result.checks:
        style = "" if check.verdict.fine else "bold red"
        checks.add_row(check.name, Text(check.verdict, style=style), Text(check.measured))
    console.print(checks)


def _suite(who: Callers, say: Say, data: Path) -> Suite:
    """Return a suite whose gateway authenticates callers and runs an experiment, and which takes
    webhooks."""
    folder = data / "experiments"
    folder.mkdir()
    (folder / f"{EXPERIMENT}.toml").write_text(_TRIED)
    programs = who.guarded(sightline(data, free_port_base(), CATALOGS, vision=True), data)
    keys = data / "webhooks.keys"
    keys.write_text(secrets.token_hex(32))
    given = {
        "GATEWAY_EXPERIMENTS_FOLDER": str(folder),
        "VISION_WEBHOOK_KEYS_FILE": str(keys),
        "VISION_WEBHOOK_HOSTS": urlsplit(RECEIVER).netloc,
        "VISION_WEBHOOK_SCHEMES": "http",
        "VISION_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "RETRIEVER_CATALOG_SETTLE_SECONDS": "2",
    }
    programs = [replace(each, environment={**each.environment, **given}) for each in programs]
    return Suite(data, programs, report=say)


async def _replay(suite: Suite, who: Callers, options: argparse.Namespace, console: Console) -> int:
    """Send it to a shop as each run begins with. What needs more than that may not show again."""
    call = findings.read(options.replay)
    async with calling(suite, who) as (sender, _):
        await open_shop(sender, pictures.seeds(options.seed), train=False)
        answer = await sender.send(call)
    method = METHODS[call.method]
    request = method.request()
    request.ParseFromString(call.request)
    console.print(Text(f"{call.method}\n{request}"[:4_000]))
    console.print(Text(f"{answer.code}: {answer.message}"))
    complaints = list(judge.complaints(answer, method))
    complaints += [why for why in [callers.complaint(call, answer)] if why]
    for complaint in complaints:
        console.print(Text(complaint, style="bold red"))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
