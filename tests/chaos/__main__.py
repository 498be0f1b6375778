"""Kill, hang, empty, slow and flood Sightline's dependencies under load, and check the answers to
callers and the remaining data.

0 = every promise held; 1 = one was broken or could not be put to the test.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import grpc
from pymilvus import MilvusException
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tritonclient.utils import InferenceServerException

from examples.wines.local import terminable
from local_suite.model import SuiteError
from local_suite.programs import ALL
from sightline_client import SightlineError
from tests.chaos.embedder.losses import losses, versions
from tests.chaos.model import NotMeasured, Report
from tests.chaos.retriever.deletions import deletions
from tests.chaos.retriever.disks import enter_private_mounts
from tests.chaos.retriever.full_disks import full_disks
from tests.chaos.retriever.kills import kills
from tests.chaos.retriever.outages import outages
from tests.chaos.retriever.rollouts import rollouts
from tests.chaos.stage import target
from tests.chaos.suite.database import database
from tests.chaos.suite.greedy import greedy
from tests.chaos.suite.one_process import one_process
from tests.chaos.suite.overload import overload
from tests.chaos.suite.processes import processes
from tests.chaos.suite.proxy import proxy
from tests.chaos.suite.restarts import restarts
from tests.chaos.suite.watches import watches
from tests.fuzz.model import Verdict

Scenario = Callable[[Report], None]

ENDS = (
    *(SuiteError, NotMeasured, OSError, ValueError),
    *(grpc.RpcError, MilvusException, InferenceServerException, SightlineError),
)
"""Errors that end one scenario, but not the others."""

OUTAGES = {"lite": 2, "server": 1}
"""Number of losses of each engine in each way: a server takes 17 s to come back."""


Part = Callable[[argparse.Namespace], dict[str, Scenario]]


def of_the_retriever(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return the retriever's scenarios: its dependencies are killed, hang, lose data and fill up;
    ten minutes."""
    seed, made = options.seed, dict[str, Scenario]()
    for engine, turns in OUTAGES.items():
        made[f"kills-{engine}"] = partial(kills, engine, options.rounds, seed)
        made[f"outages-{engine}"] = partial(outages, engine, turns, seed)
        made[f"deletions-{engine}"] = partial(deletions, engine)
        made[f"rollouts-{engine}"] = partial(rollouts, engine, options.switches, seed)
        made[f"full-disks-{engine}"] = partial(full_disks, engine, seed)
    return made


def of_the_embedder(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return the embedder's scenarios: Triton and its models are killed, hang, slow down and are
    flooded; ten minutes."""
    return {
        "embedder-versions": partial(versions, options.versions),
        "embedder-losses": partial(losses, options.losses),
    }


def of_the_suite(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return the suite's scenarios: each process is killed, stopped and restarted, load exceeds the
    capacity, the network is slow, and connections are cut; twenty minutes."""
    return {
        "processes": partial(processes, options.stopped, options.seed),
        "database": partial(database, options.stopped, options.seed),
        "restarts": partial(restarts, options.seed),
        "overload": partial(overload, options.seed),
        "greedy": partial(greedy, options.seed),
        "proxy": partial(proxy, options.seed),
        "watches": partial(watches, options.rounds, options.seed),
    }


def of_one_process(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return scenarios of all services in one process, killed, hung and blocked, with the
    retriever's on Milvus Lite, watches, PostgreSQL and restarts; twenty minutes."""
    inside = {
        "kills": partial(kills, "lite", options.rounds, options.seed),
        "outages": partial(outages, "lite", 1, options.seed),
        "deletions": partial(deletions, "lite"),
        "rollouts": partial(rollouts, "lite", options.switches, options.seed),
        "full-disks": partial(full_disks, "lite", options.seed),
        "watches": partial(watches, options.rounds, options.seed),
        "database": partial(database, options.stopped, options.seed),
        "restarts": partial(restarts, options.seed),
    }
    return {
        "one-process": partial(one_process, options.stopped, options.seed),
        **{f"one-process-{name}": partial(in_one_process, run) for name, run in inside.items()},
    }


def in_one_process(run: Scenario, report: Report) -> None:
    """Run a scenario with its services in one process."""
    before = len(report.checks)
    shape = target.set(ALL)
    try:
        run(report)
    finally:
        target.reset(shape)
        checks = report.checks[before:]
        report.checks[before:] = [
            replace(each, name=f"one process: {each.name}") for each in checks
        ]


PARTS: Mapping[str, Part] = {
    "retriever": of_the_retriever,
    "embedder": of_the_embedder,
    "suite": of_the_suite,
    "one-process": of_one_process,
}


def scenarios(options: argparse.Namespace) -> dict[str, Scenario]:
    """Return the scenarios of the chosen parts, by the name that --only accepts."""
    parts = options.part or PARTS
    return {name: run for part in parts for name, run in PARTS[part](options).items()}


def main(arguments: Sequence[str]) -> int:
    """Run every scenario, one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=20, help="of all chance")
    parser.add_argument("--part", nargs="*", choices=PARTS, default=[], help="all by default")
    parser.add_argument("--rounds", type=int, default=20, help="of kills, on each engine")
    parser.add_argument("--switches", type=int, default=50, help="of generations, to and fro")
    parser.add_argument("--losses", type=int, default=2, help="of Triton, in each way")
    parser.add_argument("--versions", type=int, default=10, help="of a model, to and fro")
    parser.add_argument("--stopped", type=float, default=60.0, help="seconds of each SIGSTOP")
    parser.add_argument("--only", nargs="*", default=[], help="names of scenarios")
    options = parser.parse_args(arguments)
    chosen = {
        name: run
        for name, run in scenarios(options).items()
        if not options.only or name in options.only
    }
    if unknown := set(options.only) - chosen.keys():
        parser.error(f"no scenario {sorted(unknown)}: there are {', '.join(scenarios(options))}")
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    report = Report(lambda line: console.print(Text(line, style="dim")))
    try:
        with terminable():
            for name, run in chosen.items():
                play(name, run, report)
    except KeyboardInterrupt:
        show(console, report, options.seed)
        console.print("Interrupted; everything that was started is stopped.")
        return 130
    show(console, report, options.seed)
    return 0 if report.clean else 1


def play(name: str, run: Scenario, report: Report) -> None:
    """Run one scenario; an error that ends it early is added to the report."""
    began = time.monotonic()
    report.say(f"{name} begins")
    try:
        run(report)
    except* ENDS as all_:
        error = _first(all_)
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        report.miss(name, f"{type(error).__name__}: {error}{notes}"[:600])
    report.say(f"{name} ends after {time.monotonic() - began:.0f} s")


def _first(error: BaseException) -> BaseException:
    """Return the first error of nested error groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def show(console: Console, report: Report, seed: int) -> None:
    """Print each promise and its result."""
    table = Table("promise", "verdict", "measured", box=box.SIMPLE_HEAD)
    for check in report.checks:
        style = "" if check.verdict is Verdict.HELD else "bold red"
        table.add_row(check.name, Text(check.verdict, style=style), Text(check.measured))
    console.print(table)
    console.print(Text(f"Seed {seed}, {time.monotonic() - report.began:.0f} s"))


if __name__ == "__main__":
    enter_private_mounts("tests.chaos", sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
