"""Every service is restarted, one process after another, under a shop's load.

The only process of all services is replaced: the next one starts before it ends, as `maxSurge` of
the manifests has it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

from local_suite.programs import ALL
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests.chaos.model import Report
from tests.chaos.stage import START_SECONDS, target
from tests.chaos.suite.processes import RATES as MODERATE
from tests.chaos.suite.replicas import ONE_PROCESS, SECOND, SET_UP, front, replicated
from tests.chaos.suite.shop import (
    SECONDS,
    Got,
    Ledger,
    Load,
    counted,
    open_shop,
    shoppers,
    writers,
)

RATES: Final = {kind: 2 * rate for kind, rate in MODERATE.items()}
ROUNDS: Final = 2
READY_SECONDS: Final = 4.0
"""Seconds between the return of one process and the end of the next, as `minReadySeconds` of the
manifests: callers look for a lost peer every 2 s."""


def restarts(seed: int, report: Report) -> None:
    """Restart each process of the services in turn: SIGTERM, end of running calls, start. Raise
    SuiteError, NotMeasured or NoPostgreSQL."""
    with replicated() as suite:
        asyncio.run(_restarts(suite, seed, report))


async def _restarts(suite: Suite, seed: int, report: Report) -> None:
    ledger, ends = Ledger(), dict[str, float]()
    services = sorted(each.name for each in suite.programs.values() if each.group != "engines")
    replaced = {ALL: f"{ALL}{SECOND}", f"{ALL}{SECOND}": ALL} if target.get() == ALL else {}
    if replaced:
        await asyncio.to_thread(suite.stop, replaced[ALL])
    async with SightlineClient(front(suite), timeout=SECONDS, batch_timeout=SECONDS) as client:
        await open_shop(client)
        load = Load({**shoppers(client, seed), **writers(client, ledger)}, RATES)
        async with load.running():
            began = await load.calm(time.monotonic())
            for name in services * ROUNDS:
                turn = await _restart(suite, name, replaced.get(name), load, report)
                ends[name] = max(ends.get(name, 0.0), turn)
        lost = await ledger.lost(client)
    judge([each for each in load.got if each.ended >= began], services * ROUNDS, report)
    slowest = max(ends, key=ends.__getitem__)
    grace = suite.programs[slowest].stop_seconds
    measured = f"{slowest} took longest, {ends[slowest]:.1f} s of {grace} s"
    report.add("rolling restart: each process ends by itself", ends[slowest] < grace, measured)
    report.add("rolling restart: 0 acknowledged writes lost", not lost, f"{len(lost)} of {ledger}")


async def _restart(
    suite: Suite, name: str, successor: str | None, load: Load, report: Report
) -> float:
    """Restart one process, or start its successor and end it, from one healthy state to the next.
    Return the seconds of its shutdown."""
    if successor:
        await asyncio.to_thread(suite.start, successor, START_SECONDS)
        await asyncio.sleep(READY_SECONDS)
    began = time.monotonic()
    await asyncio.to_thread(suite.stop, name)
    ended = time.monotonic()
    if not successor:
        await asyncio.to_thread(suite.start, name, START_SECONDS)
    started = time.monotonic()
    await asyncio.sleep(READY_SECONDS)
    await load.calm(began)
    report.say(f"{name}: ended after {ended - began:.1f} s, back after {started - ended:.1f} s")
    return ended - began


def judge(got: list[Got], restarted: list[str], report: Report) -> None:
    """Judge whether every call was answered; degraded answers are only counted."""
    degraded = Counter(" and ".join(sorted(each.causes)) for each in got if each.causes)
    words = ", ".join(f"{count} {what}" for what, count in degraded.most_common()) or "none"
    report.add(
        f"rolling restart of services, {len(restarted)} in turn: 0 failed",
        bool(got) and not any(each.error for each in got),
        f"{counted(got)}; degraded and flagged: {words}; "
        f"{ONE_PROCESS if target.get() == ALL else SET_UP}",
    )
