"""Cost of a small suite without calls, with its services apart and in one process: time to the
first answer, memory, and processor time."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bench.harness import processes
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import free_port_base, own
from local_suite.processes import marked
from local_suite.programs import ALL, TARGETS, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient, SightlineError

Say: TypeAlias = Callable[[str], None]

ROUNDS = 2
SETTLED, IDLE_SECONDS = 20.0, 15.0
"""Seconds before memory and idle processor time are read, and over which the latter is."""
MOST_GIB, MOST_SECONDS, MOST_IDLE = 1.2, 6.0, 0.01


@dataclass(slots=True)
class RestFigures:
    """Figures of one shape, one value a round."""

    first_answer: list[float] = field(default_factory=list)
    """Seconds from the start of the suite to the first answer."""
    memory: list[float] = field(default_factory=list)
    """GiB of proportional memory (PSS) of all processes."""
    idle: list[float] = field(default_factory=list)
    """Cores."""
    count: int = 0
    """Processes."""


def run(say: Say) -> BenchResult:
    """Load wines once; start both shapes on copies in turn."""
    wines = load_wines()
    found = {target: RestFigures() for target in TARGETS}
    with tempfile.TemporaryDirectory(prefix="sightline-rest-") as name:
        kept = Path(name) / "kept"
        say("loading wines")
        with own(partial(_suite, "apart", None)) as suite:
            asyncio.run(_fill(suite.addresses()["gateway"]))
            suite.down()
            shutil.copytree(
                suite.layout.data, kept, ignore=shutil.ignore_patterns("*.sock", "logs")
            )
        for number in range(ROUNDS):
            for target, figures in found.items():
                say(f"round {number + 1} of {ROUNDS}: {target}")
                _round(target, kept, wines[0].id, figures)
    return _result(found)


def _suite(target: str, kept: Path | None, data: Path) -> Suite:
    if kept is not None:
        shutil.copytree(kept, data, dirs_exist_ok=True)
    return Suite(data, sightline(data, free_port_base(), target=target), report=lambda _: None)


async def _fill(gateway: str) -> None:
    async with SightlineClient(gateway) as client:
        await loading.load_all(client)


def _round(target: str, kept: Path, product: str, figures: RestFigures) -> None:
    """Start a suite on a copy, wait for an answer, and read what it takes at rest."""
    copied = partial(_suite, target, kept)
    since = 0.0

    def timed(data: Path) -> Suite:
        nonlocal since
        made = copied(data)
        since = time.monotonic()
        return made

    with own(timed) as suite:
        asyncio.run(_answered(suite.addresses()["gateway"], product))
        figures.first_answer.append(time.monotonic() - since)
        time.sleep(SETTLED)
        pids = marked(suite.layout.data)
        before = sum(processes.spent({}, pids).values())
        time.sleep(IDLE_SECONDS)
        after = sum(processes.spent({}, pids).values())
        figures.idle.append((after - before) / IDLE_SECONDS)
        figures.memory.append(sum(map(processes.proportional, pids)) / 2**30)
        figures.count = len(pids)


async def _answered(gateway: str, product: str) -> None:
    async with SightlineClient(gateway, timeout=5) as client:
        while True:
            try:
                if (await client.recommend(products=product, page_size=3)).results:
                    return
            except SightlineError:
                await asyncio.sleep(0.02)


def _result(found: Mapping[str, RestFigures]) -> BenchResult:
    one = found[ALL]
    rows = tuple(
        (
            "one process" if target == ALL else "apart",
            str(each.count),
            _shown(each.first_answer, 1),
            _shown(each.memory, 2),
            _shown([100 * value for value in each.idle], 1),
        )
        for target, each in found.items()
    )
    return BenchResult(
        tables=(
            BenchTable(
                "A suite with 100 wines at rest",
                ("services", "processes", "s to the first answer", "GiB (PSS)", "% of a core"),
                rows,
                f"Medians of {ROUNDS} alternating rounds, with the least and the most. From `make"
                " up` on data of an earlier run; memory and idle time half a minute later.",
                section=None,
            ),
        ),
        figures={
            target: {"s": each.first_answer, "gib": each.memory, "idle": each.idle}
            for target, each in found.items()
        },
        goals=(
            Goal("one process: memory at rest", MOST_GIB, "GiB", _range(one.memory)),
            Goal("one process: first answer", MOST_SECONDS, "s", _range(one.first_answer)),
            Goal("one process: idle", MOST_IDLE, "cores", _range(one.idle)),
        ),
    )


def _range(values: list[float]) -> Interval:
    return percentile(values, 0.5)


def _shown(values: list[float], digits: int) -> str:
    found = _range(values)
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"
