"""Time of answers beside a training, compared with answers alone, in alternation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bench.harness.load import closed_loop, lasting
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import free_port_base, own
from local_suite.programs import TARGETS, sightline
from local_suite.suite import Suite
from sightline_client import JobState, SightlineClient

Say: TypeAlias = Callable[[str], None]

ROUNDS, SECONDS = 8, 4.0
WARM_CALLS = 300
TRIALS = 10_000
"""A search of so many recipes outlasts a round, which cancels it."""
LEARNING_SECONDS = 3.0
"""Seconds from the start of a training's process until it learns."""
MOST_RATIO = 1.3


@dataclass(slots=True)
class BesideFigures:
    """Seconds of calls in one shape, a list a round."""

    alone: list[list[float]] = field(default_factory=list)
    beside: list[list[float]] = field(default_factory=list)

    def of(self, share: float) -> tuple[list[float], list[float]]:
        """Return the quantile of each round."""
        alone, beside = (
            [percentile(each, share).value for each in rounds]
            for rounds in (self.alone, self.beside)
        )
        return alone, beside


def run(say: Say) -> BenchResult:
    """Measure both shapes on the example wines."""
    found = {target: BesideFigures() for target in TARGETS}
    for target, figures in found.items():
        say(f"loading wines: {target}")
        with own(partial(suite_in, target)) as suite:
            asyncio.run(_measure(suite.addresses()["gateway"], figures, say))
    return result(found, "a training", "The training searches recipes.")


def suite_in(target: str, data: Path) -> Suite:
    """Return a suite on free ports, with its services apart or in one process."""
    return Suite(data, sightline(data, free_port_base(), target=target), report=lambda _: None)


async def _measure(gateway: str, figures: BesideFigures, say: Say) -> None:
    products = [wine.id for wine in load_wines()]
    async with SightlineClient(gateway, timeout=30) as client:
        await loading.load_all(client)
        for _ in range(WARM_CALLS // len(products)):
            await asked(client, products)
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}")
            figures.alone.append(await asked(client, products, SECONDS))
            async with _training(client, number):
                figures.beside.append(await asked(client, products, SECONDS))


async def asked(
    client: SightlineClient, products: Sequence[str], seconds: float = 0.0
) -> list[float]:
    """Return the seconds of each answer to one caller, who asks for some seconds, and at least for
    all products."""

    async def ask(product: str) -> None:
        await client.recommend(products=product, page_size=10)

    asked = (products[place % len(products)] for place in range(10**6))
    timed, _ = await closed_loop(lasting(asked, seconds, len(products)), 1, ask)
    return [each.seconds for each in timed]


@asynccontextmanager
async def _training(client: SightlineClient, seed: int) -> AsyncIterator[None]:
    """Train while the block runs."""
    job = await client.train_model(seed=seed, search_trials=TRIALS, search_seconds=600.0)
    while job.state is not JobState.RUNNING:
        await asyncio.sleep(0.1)
        job = await client.get_job(job.job_id)
    await asyncio.sleep(LEARNING_SECONDS)
    try:
        yield
        job = await client.get_job(job.job_id)
        if job.state is not JobState.RUNNING:
            raise loading.LoadingFailed(f"the training ended as {job.state}: {job.error}")
    finally:
        await client.cancel_job(job.job_id)
        async for _ in client.watch_job(job.job_id, timeout=60.0):
            pass


def result(found: Mapping[str, BesideFigures], work: str, note: str) -> BenchResult:
    """Return the table, figures and goals of each shape, beside some work such as "a training"."""
    rows, goals = list[tuple[str, ...]](), list[Goal]()
    for target, figures in found.items():
        shape = "one process" if target == "all" else target
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            alone, beside = figures.of(share)
            ratio = median_ratio(beside, alone)
            cells = (f"{1000 * percentile(each, 0.5).value:.1f}" for each in (alone, beside))
            shown = ratio.shown(2)
            rows.append((shape, name, *cells, shown))
            if name == "p99":
                goals.append(Goal(f"{shape}: p99 beside {work}", MOST_RATIO, "×", ratio))
    return BenchResult(
        tables=(
            BenchTable(
                f"Answers beside {work}",
                ("services", "", "alone, ms", f"beside {work}, ms", "÷ alone"),
                tuple(rows),
                f"By product, one caller, 100 wines; medians of {ROUNDS} alternating rounds of"
                f" {SECONDS:.0f} s. {note}",
                section=None,
            ),
        ),
        figures={
            target: {"p99_alone_s": each.of(0.99)[0], "p99_beside_s": each.of(0.99)[1]}
            for target, each in found.items()
        },
        goals=tuple(goals),
    )
