"""Eight writers continue while retriever, worker and engine are killed at random moments."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from local_suite.suite import Suite
from tests.chaos.model import ENGINES, Report
from tests.chaos.retriever.calls import Retriever
from tests.chaos.retriever.comparing import Outcome, compare
from tests.chaos.retriever.ledger import SPACE, Ledger
from tests.chaos.retriever.writers import team
from tests.chaos.stage import RETRIEVER, START_SECONDS, channel_to, running, stage

WRITERS = 8
CATALOG = "kills"
VERSIONS = {"one": 16}
ENGINE, SERVER, WORKER = RETRIEVER
VICTIMS = (
    (ENGINE,), (SERVER,), (WORKER,), (ENGINE, WORKER), (SERVER,),
    (ENGINE, SERVER), (WORKER,), (SERVER, WORKER), (SERVER,), (ENGINE, SERVER, WORKER),
)  # fmt: skip
"""Processes that are killed together, in ten rounds of random order."""
LONGEST_WAIT = 1.5
"""Seconds before a kill, at most, in which they work."""
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 30.0
"""Seconds to wait for the expected progress; after that the kill follows anyway."""


def kills(engine: str, rounds: int, seed: int, report: Report) -> None:
    """Run `rounds` on one engine, then check every acknowledged write. Raise SuiteError or
    NotMeasured."""
    with stage(engine, [CATALOG]) as suite:
        asyncio.run(_kills(suite, engine, rounds, seed, report))


async def _kills(suite: Suite, engine: str, rounds: int, seed: int, report: Report) -> None:
    chance, ledger, stop = random.Random(f"{seed}/{engine}"), Ledger(), asyncio.Event()
    async with channel_to(suite, SERVER) as channel:
        retriever = Retriever(channel, CATALOG)
        for version, dimension in VERSIONS.items():
            await retriever.open_generation(version, dimension)
        writers = team(WRITERS, retriever, ledger, VERSIONS, seed)
        dead: Counter[str] = Counter()
        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(writer.run(stop))
            for number, victims in enumerate(_plan(chance, rounds), start=1):
                took = await _kill(suite, victims, retriever, chance)
                dead.update(victims)
                report.say(
                    f"{ENGINES[engine]} round {number}: killed {', '.join(victims)} after "
                    f"{took:.1f} s; {retriever.acknowledged} writes acknowledged so far"
                )
            stop.set()
        outcome = await compare(suite, retriever, ledger, VERSIONS)
    _judge(engine, outcome, retriever, dead, report)


def _plan(chance: random.Random, rounds: int) -> list[Sequence[str]]:
    """Return the processes that are killed in each round."""
    turns: list[Sequence[str]] = []
    while len(turns) < rounds:
        turns += chance.sample(VICTIMS, len(VICTIMS))
    return turns[:rounds]


async def _kill(
    suite: Suite, victims: Sequence[str], retriever: Retriever, chance: random.Random
) -> float:
    """Kill them together, each in the middle of its work; the seconds since the last round."""
    began, so_far = time.monotonic(), retriever.acknowledged
    programs = [running(suite, name) for name in victims]
    for name in programs:
        await asyncio.to_thread(suite.wait_healthy, name, START_SECONDS)
    await _until(lambda: _acknowledged(retriever, so_far + WRITERS))
    if ENGINE in victims:
        before = await retriever.newest(SPACE)
        await _until(lambda: _indexed(retriever, before))
    await asyncio.sleep(chance.uniform(0, LONGEST_WAIT))
    await asyncio.gather(*(asyncio.to_thread(suite.kill, name) for name in programs))
    return time.monotonic() - began


async def _acknowledged(retriever: Retriever, count: int) -> bool:
    """Return whether the writers' calls are acknowledged again."""
    return retriever.acknowledged >= count


async def _indexed(retriever: Retriever, before: str) -> bool:
    """Return whether the engine accepts rows, which it does some time after its return."""
    return await retriever.newest(SPACE) != before


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for the condition for a limited time; the kill follows in any case."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not await holds():
        if time.monotonic() > until:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _judge(
    engine: str, outcome: Outcome, retriever: Retriever, dead: Counter[str], report: Report
) -> None:
    kind = ENGINES[engine]
    deaths = ", ".join(f"{name} {count}×" for name, count in dead.items())
    measured = (
        f"{retriever.acknowledged} writes of {WRITERS} writers, {outcome.products} products; "
        f"{outcome.record}; vectors {outcome.vectors}; killed {deaths}"
    )
    report.add(f"{kind}: no acknowledged row is lost", not outcome.lost, measured)
    measured = (
        f"{outcome.rows} rows: {outcome.index}; said caught up after {outcome.seconds:.1f} s, "
        f"equal after {outcome.fixed:.1f} s"
    )
    report.add(f"{kind}: nothing stale after catch-up", not outcome.index, measured)
    met = ", ".join(f"{what} {n}" for what, n in retriever.met.most_common()) or "none"
    report.add(f"{kind}: writers meet no error but to try again", not retriever.rude, met)
