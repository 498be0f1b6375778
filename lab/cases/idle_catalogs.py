"""Cost of catalogs without products and calls, in one process."""

import asyncio
import time
from pathlib import Path

from bench.cases.at_rest import IDLE_SECONDS, Say
from bench.harness import processes
from bench.harness.model import BenchResult, BenchTable
from bench.harness.statistics import percentile
from examples.wines import loading
from examples.wines.local import free_port_base, own
from local_suite.processes import marked
from local_suite.programs import ALL, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient

CATALOGS = 20
SAMPLES = 4
SETTLED = 45.0
"""Seconds after catalogs are created, in which their indexes are made."""


def run(say: Say) -> BenchResult:
    """Measure a suite with the wines at rest, then with more catalogs."""
    with own(_suite) as suite:
        gateway = suite.addresses()["gateway"]
        say("loading wines")
        asyncio.run(_fill(gateway))
        before = _at_rest(suite, say)
        say(f"creating {CATALOGS} catalogs")
        asyncio.run(_create(gateway))
        after = _at_rest(suite, say)
    cores = percentile([(b - a) / CATALOGS for a, b in zip(before[0], after[0], strict=True)], 0.5)
    memory = (after[1] - before[1]) / CATALOGS / 2**20
    row = (
        f"{100 * cores.value:.2f} ({100 * cores.low:.2f} to {100 * cores.high:.2f})",
        f"{memory:.1f}",
    )
    return BenchResult(
        tables=(
            BenchTable(
                "A catalog without products, in one process",
                ("% of a core", "MiB (PSS)"),
                (row,),
                f"Difference between a suite with {CATALOGS + 1} catalogs and with one, divided by"
                f" {CATALOGS}; median of {SAMPLES} samples of {IDLE_SECONDS:g} s, with the least"
                " and the most. Memory below 0: it varies by more than these catalogs take.",
                section=None,
            ),
        ),
        figures={"cores": [before[0], after[0]], "bytes": [before[1], after[1]]},
        goals=(),
    )


def _suite(data: Path) -> Suite:
    programs = sightline(data, free_port_base(), target=ALL)
    return Suite(data, programs, report=lambda _: None)


async def _fill(gateway: str) -> None:
    async with SightlineClient(gateway) as client:
        await loading.load_all(client)


async def _create(gateway: str) -> None:
    async with SightlineClient(gateway) as client:
        for number in range(CATALOGS):
            await client.create_catalog(f"idle-{number}")


def _at_rest(suite: Suite, say: Say) -> tuple[list[float], int]:
    """Return the cores of each sample, and the bytes of all processes."""
    time.sleep(SETTLED)
    say("measuring at rest")
    pids = marked(suite.layout.data)
    cores = []
    for _ in range(SAMPLES):
        since = sum(processes.spent({}, pids).values())
        time.sleep(IDLE_SECONDS)
        cores.append((sum(processes.spent({}, pids).values()) - since) / IDLE_SECONDS)
    return cores, sum(map(processes.proportional, pids))
