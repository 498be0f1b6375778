"""Runs the benches that guard what users are promised; see bench/README.md."""

import sys

from bench.cases import (
    at_rest,
    feedback,
    imports,
    monolith,
    overload,
    recommenders,
    releases,
    replay,
    search,
    sizes,
)
from bench.harness import command
from bench.harness.machine import ROOT
from bench.harness.report import RESULTS

PERFORMANCE = ROOT / "lab" / "research" / "performance.md"
BENCHES = {
    "monolith": monolith.run,
    "releases": releases.run,
    "at_rest": at_rest.run,
    "sizes": sizes.run,
    "imports": imports.run,
    "overload": overload.run,
    "search": search.run,
    "replay": replay.run,
    "feedback": feedback.run,
    "recommenders": recommenders.run,
}
"""Every bench: at most ten, in at most twenty minutes together. A new one belongs into lab/, unless
it guards a promise that a user reads.
"""

SET = command.BenchSet(
    "python -m bench",
    BENCHES,
    RESULTS,
    usual=tuple(BENCHES),
    longer={"imports": imports.full, "monolith": monolith.full, "sizes": sizes.full},
    pages={
        "at_rest": PERFORMANCE,
        "monolith": PERFORMANCE,
        "sizes": PERFORMANCE,
    },
)

if __name__ == "__main__":
    sys.exit(command.run(SET, sys.argv[1:]))
