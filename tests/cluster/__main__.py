"""Run what deploy/k8s ships on a real cluster: `make cluster`, or `make cluster PARTS="medium"`.

KUBECONFIG names a cluster, else CLUSTER_TOOLS a folder with a cluster.sh that starts one (default:
../shared/cluster beside the repository). Without either it prints NOT MEASURED.
0 = every promise held; 1 = one was broken or could not be put to the test.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from examples.wines.local import terminable
from tests.chaos.model import NotMeasured, Report
from tests.cluster import results
from tests.cluster.kube import Refused, TooLate
from tests.cluster.node import Node, NotStarted, tars
from tests.cluster.parts import PARTS
from tests.cluster.parts.stage import Stage
from tests.cluster.tools import (
    INSIDE,
    ROOT,
    Busy,
    Given,
    NoCluster,
    Tools,
    alone,
    check_machine,
    find,
    interruptible,
    isolate,
    run_inside,
)

FOLDER = ROOT / ".cache/cluster"
IMAGES = ROOT / "dist/images"
ENDS = (
    *(Refused, TooLate, NotMeasured, NotStarted),
    *(OSError, ValueError, LookupError, subprocess.SubprocessError),
)
"""Errors that end one part, but not the others."""


def play(stage: Stage, names: Sequence[str], report: Report) -> dict[str, results.Part]:
    """Run parts one after another; an error that ends a part early is added to its results."""
    done = {}
    for name in names:
        first, began = len(report.checks), report.said()
        report.say(f"{name} begins")
        try:
            PARTS[name](stage, report)
        except* ENDS as all_:
            error = _first(all_)
            report.miss(name, f"{type(error).__name__}: {error}"[:900])
        took = report.said() - began
        report.say(f"{name} ends after {took:.0f} s")
        done[name] = results.part(report.checks[first:], took)
        results.store({name: done[name]})
    return done


def _first(error: BaseException) -> BaseException:
    """Return the first error of nested error groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def run(parts: Sequence[str], console: Console, *, keep: bool) -> int:
    """Start a cluster in this process's namespaces, run parts on it, and stop it."""
    report = results.Timeline(lambda line: console.print(Text(line, style="dim")))
    tools = find({"CLUSTER_TOOLS": os.environ["CLUSTER_TOOLS"]})
    assert isinstance(tools, Tools)
    isolate()
    FOLDER.mkdir(parents=True, exist_ok=True)
    node = Node(tools, FOLDER)
    try:
        report.say("a cluster starts")
        node.up()
        report.say("the cluster is up")
        with node.standins():
            images = [Path(each) for each in os.environ.get("CLUSTER_IMAGES", "").split()]
            stage = Stage(node, tars(images or [IMAGES]))
            done = play(stage, parts, report)
            if keep:
                report.say(f"it stays until Ctrl-C: nsenter --all --target {_outer_pid()}")
                while True:
                    time.sleep(1)
    except NotStarted as error:
        console.print(f"the cluster did not start: {error}", markup=False)
        return 1
    finally:
        node.down()
    results.show(console, done)
    return 0 if report.clean else 1


def _outer_pid() -> str:
    """Return this process's id outside its namespace."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1]
    return "?"


def own(found: Given | Tools) -> Tools:
    """Return the tools. Raise NoCluster for a cluster that was given."""
    if isinstance(found, Given):
        raise NoCluster(
            "these parts load images and look into the node, so they start a cluster of their own:"
            " unset KUBECONFIG and set CLUSTER_TOOLS. `make cluster-check` checks the overlays on"
            " KUBECONFIG's cluster"
        )
    return found


def supervise(arguments: Sequence[str], tools: Tools) -> int:
    """Run this program again in namespaces of its own, alone on this machine."""
    check_machine()
    with alone():
        return run_inside("tests.cluster", arguments, tools)


def main(arguments: Sequence[str]) -> int:
    """Find a cluster and run the parts."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all of: {', '.join(PARTS)}")
    parser.add_argument("--keep", action="store_true", help="keep the cluster until Ctrl-C")
    parser.add_argument("--write-docs", action="store_true", help="write the page from results")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    if options.write_docs:
        results.write_page()
        return 0
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=130)
    if os.environ.get(INSIDE):
        try:
            with terminable():
                interruptible()
                return run(options.parts or list(PARTS), console, keep=options.keep)
        except KeyboardInterrupt:
            console.print("Interrupted; the cluster is stopped, and nothing is left of it.")
            return 130
    try:
        found = find(os.environ)
        return supervise(arguments, own(found))
    except NoCluster as error:
        print(f"NOT MEASURED: {error}")
        return 0
    except Busy as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
