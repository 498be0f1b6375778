"""Time of answers beside background work (a training, a backfill, backups, counts), compared with
answers alone, in alternation."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from bench.harness.load import closed_loop, lasting
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import free_port_base, own
from local_suite.programs import TARGETS, sightline
from local_suite.suite import Suite
from sightline_client import Event, EventType, JobState, SightlineClient
from sightline_client.values.operations import Job

Say: TypeAlias = Callable[[str], None]
Beside: TypeAlias = Callable[[SightlineClient, Suite, int], AbstractAsyncContextManager[None]]
"""Keeps a suite at some background work in a round, given by its number, while a block runs."""

ROUNDS, SECONDS = 8, 4.0
WARM_CALLS = 300
TRIALS = 10_000
"""A search of so many recipes outlasts a round, which cancels it."""
LEARNING_SECONDS = 3.0
"""Seconds from the start of a training's process until it learns."""
EVENTS, EVENTS_EVERY = 500, 0.5
"""Events that are written at once, and the seconds from one write to the next."""
FIRST_EVENT: Final = datetime(2026, 7, 1, tzinfo=UTC)
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
    found = {(target, work): BesideFigures() for target in TARGETS for work in WORKS}
    for target in TARGETS:
        say(f"loading wines: {target}")
        with own(partial(suite_in, target)) as suite:
            asyncio.run(_measure(suite, {work: found[target, work] for work in WORKS}, say))
    return result(
        found,
        "Answers beside background work",
        "The training searches recipes; photos are embedded again into an index beside the active"
        f" one; backups of catalog and events follow one another; {EVENTS / EVENTS_EVERY:,.0f}"
        " events a second are written and counted.",
    )


def suite_in(target: str, data: Path) -> Suite:
    """Return a suite on free ports, with its services apart or in one process."""
    return Suite(data, sightline(data, free_port_base(), target=target), report=lambda _: None)


async def _measure(suite: Suite, found: Mapping[str, BesideFigures], say: Say) -> None:
    products = [wine.id for wine in load_wines()]
    async with SightlineClient(suite.addresses()["gateway"], timeout=30) as client:
        await loading.load_all(client)
        for _ in range(WARM_CALLS // len(products)):
            await asked(client, products)
        for number, work in itertools.product(range(ROUNDS), found):
            say(f"{work}, round {number + 1} of {ROUNDS}")
            found[work].alone.append(await asked(client, products, SECONDS))
            async with WORKS[work](client, suite, number):
                found[work].beside.append(await asked(client, products, SECONDS))


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
async def _training(client: SightlineClient, _suite: Suite, seed: int) -> AsyncIterator[None]:
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


@asynccontextmanager
async def _repeated(work: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Repeat some work while the block runs, and end with the last one."""
    done, stop = 0, asyncio.Event()

    async def repeat() -> None:
        nonlocal done
        while not stop.is_set():
            await work()
            done += 1

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        stop.set()
        await task
    if not done:
        raise loading.LoadingFailed("nothing was done beside the answers")


async def _ended(client: SightlineClient, job: Job) -> None:
    """Wait for a job. Raise LoadingFailed if it fails."""
    async for state in client.watch_job(job.job_id, timeout=120.0):
        job = state
    if job.state is not JobState.SUCCEEDED:
        raise loading.LoadingFailed(f"{job.kind} ended as {job.state}: {job.error}")


def _backfills(
    client: SightlineClient, _suite: Suite, number: int
) -> AbstractAsyncContextManager[None]:
    """Embed all photos into a further generation of the index, again and again."""
    places = itertools.count()

    async def backfill() -> None:
        name = f"beside-{number}-{next(places)}"
        await client.create_generation(name=name)
        try:
            await _ended(client, await client.backfill_generation(name))
        finally:
            await client.drop_generation(name)

    return _repeated(backfill)


def _backups(
    client: SightlineClient, suite: Suite, _number: int
) -> AbstractAsyncContextManager[None]:
    """Back up the catalog, then the events and models, again and again."""
    environment = suite.programs["ranker-worker"].environment

    async def back_up() -> None:
        await _ended(client, await client.create_backup())
        command = (sys.executable, "-m", "ranker.backups", "create")
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.DEVNULL,
        )
        if await process.wait():
            raise loading.LoadingFailed("the ranker's backup failed")

    return _repeated(back_up)


def _counts(
    client: SightlineClient, _suite: Suite, number: int
) -> AbstractAsyncContextManager[None]:
    """Write events, which the worker counts, again and again."""
    products = [wine.id for wine in load_wines()]
    places = itertools.count()

    async def write() -> None:
        batch = [_event(products, number, next(places)) for _ in range(EVENTS)]
        await client.write_events(batch)
        await asyncio.sleep(EVENTS_EVERY)

    return _repeated(write)


def _event(products: Sequence[str], number: int, place: int) -> Event:
    return Event(
        event_id=f"beside-{number}-{place}",
        type=EventType.VIEW,
        product_id=products[place * 7 % len(products)],
        user=f"beside-{place % 997}",
        time=FIRST_EVENT + timedelta(minutes=place % 10_000),
    )


WORKS: Final[Mapping[str, Beside]] = {
    "a training": _training,
    "a backfill": _backfills,
    "backups": _backups,
    "counts": _counts,
}
"""Background work by its name in tables."""


def result(found: Mapping[tuple[str, str], BesideFigures], title: str, note: str) -> BenchResult:
    """Return the table, figures and goals of what was measured in a shape beside some work."""
    rows, goals = list[tuple[str, ...]](), list[Goal]()
    for (target, work), figures in found.items():
        shape = "one process" if target == "all" else target
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            alone, beside = figures.of(share)
            ratio = median_ratio(beside, alone)
            cells = (f"{1000 * percentile(each, 0.5).value:.1f}" for each in (alone, beside))
            shown = ratio.shown(2)
            rows.append((shape, work, name, *cells, shown))
            if name == "p99":
                goals.append(Goal(f"{shape}: p99 beside {work}", MOST_RATIO, "×", ratio))
    return BenchResult(
        tables=(
            BenchTable(
                title,
                ("services", "beside", "", "alone, ms", "beside it, ms", "÷ alone"),
                tuple(rows),
                f"By product, one caller, 100 wines; medians of {ROUNDS} alternating rounds of"
                f" {SECONDS:.0f} s. {note}",
                section=None,
            ),
        ),
        figures={
            f"{target}, {work}": {"p99_alone_s": each.of(0.99)[0], "p99_beside_s": each.of(0.99)[1]}
            for (target, work), each in found.items()
        },
        goals=tuple(goals),
    )
