"""Search for the most expensive request of a role, and print what it costs against the limits."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.harness.model import GoalVerdict
from bench.harness.report import verdict
from examples.wines.local import terminable
from local_suite.model import SuiteError
from tests.chaos.suite.crowd import counted, p99
from tests.fuzz.cost import cases
from tests.fuzz.cost.run import CostPlan, CostResult, Say, line, search

MOST_MINUTES = 15


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the search."""
    parser.add_argument(
        "--cost-requests", type=int, default=600, help="requests of the search for expensive ones"
    )
    parser.add_argument(
        "--cost-minutes", type=float, default=10, help=f"of that search, 0 to {MOST_MINUTES}"
    )
    parser.add_argument("--cost-cases", type=Path, help="file to write the ten worst requests to")


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a message unless the options are valid."""
    if not 0 <= options.cost_minutes <= MOST_MINUTES:
        parser.error(f"--cost-minutes has to be from 0 to {MOST_MINUTES}")
    if options.cost_requests < 1:
        parser.error("--cost-requests has to be at least 1")


def run(options: argparse.Namespace, say: Say) -> bool:
    """Search, print and write the results. Return whether every limit was met."""
    plan = CostPlan(options.cost_requests, options.cost_minutes * 60, options.seed)
    try:
        result = search(plan, say)
    except (SuiteError, OSError) as error:
        result = CostResult((), missing=str(error))
    for number, case in enumerate(result.cases):
        say(line(number + 1, case))
    for name, found in result.attacks.items():
        alone, beside = (p99(each.seconds for each in got) for got in (found.alone, found.beside))
        say(f"  attackers of {name} got: {found.attackers}")
        say(f"  a calm caller's p99: {alone * 1e3:.0f} ms alone, {beside * 1e3:.0f} ms beside them")
        say(f"  its answers: {counted(found.beside)}; alone {counted(found.alone)}")
    for goal in result.goals:
        say(verdict(goal))
    if options.cost_cases and result.cases:
        cases.write(options.cost_cases, result.cases)
        say(f"The most expensive requests are in {options.cost_cases}")
    return all(goal.verdict is GoalVerdict.MET for goal in result.goals)


def main(arguments: Sequence[str]) -> int:
    """Search alone, without the rest of the fuzzer."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.cost", description=__doc__)
    parser.add_argument("--seed", type=int, default=20, help="of all chance")
    add_options(parser)
    options = parser.parse_args(arguments)
    check_options(parser, options)
    try:
        with terminable():
            return 0 if run(options, lambda line: print(line, flush=True)) else 1
    except KeyboardInterrupt:
        print("Interrupted; everything that was started is stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
