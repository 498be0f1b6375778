"""The parts of a run, and those that look at one subject after the random requests."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Mapping

import grpc

from local_suite.suite import Suite
from tests.fuzz import cancelled, exports, logs, recreated
from tests.fuzz.callers import Callers
from tests.fuzz.keeping import Unanswered
from tests.fuzz.model import Outcome, Result
from tests.fuzz.run import calling
from tests.fuzz.wire import Sender

REQUESTS, HTTP = "requests", "http"
SUBJECTS: Mapping[str, tuple[str, Callable[[Suite, Sender, int], Awaitable[Outcome]]]] = {
    "exports": ("files of exports with changed columns", exports.check),
    "recreated": ("deleted and re-created names", recreated.check),
    "cancelled": ("cancelled calls", cancelled.check),
}
"""Parts by name: the name of the check, and what makes it. Cancelled calls are the last: jobs that
they started keep the others waiting."""
PARTS = (REQUESTS, *SUBJECTS, HTTP)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses parts."""
    text = f"parts to run, of {', '.join(PARTS)}; default: all"
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=text
    )


async def run(
    suite: Suite,
    who: Callers,
    options: argparse.Namespace,
    result: Result,
    say: Callable[[str], None],
) -> None:
    """Run the chosen parts one after another, and add their checks and findings to the result."""
    for part, (name, check) in SUBJECTS.items():
        if part not in options.only:
            continue
        say(f"  {name}")
        marks = logs.marks(suite)
        async with calling(suite, who) as (sender, _):
            try:
                outcome = await check(suite, sender, options.seed)
                result.add(name, outcome.held, outcome.measured)
            except (Unanswered, grpc.RpcError, OSError) as error:
                result.miss(name, f"{type(error).__name__}: {error}")
            result.findings += sender.findings
            result.more_findings += sender.more
            for key, count in sender.codes.items():
                result.codes[key] = result.codes.get(key, 0) + count
        guilty = logs.guilty(suite, marks)
        said = (
            "; ".join(f"{program}: {line}" for program, line in guilty[:2]) or "no internal error"
        )
        result.add(f"{name}: nothing in the logs", not guilty, said)
