"""One caller sends far more requests for one catalog than the backends can answer, over many
connections; another caller sends occasional requests for another catalog.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Final

from local_suite.suite import Suite
from tests.chaos.model import Report
from tests.chaos.suite.attackers import attackers
from tests.chaos.suite.backends import CAPACITY, before_backends
from tests.chaos.suite.crowd import (
    DEADLINE_SECONDS,
    WHOLE,
    Ask,
    Got,
    Phase,
    check_pace,
    come,
    connections,
    counted,
    p99,
    shopper,
)

SETTLE_SECONDS: Final = 5.0
"""Seconds in which a greedy caller uses up its quota after a pause, and a gateway without quotas
learns its limit of concurrent calls."""
CALM: Final = Phase(0.2 * CAPACITY, 25.0)
GREEDY: Final = Phase(6.0 * CAPACITY, SETTLE_SECONDS + CALM.seconds)
"""Rate independent of the answers. A higher rate would exhaust the processors that all programs
share."""
CONNECTIONS: Final = 16
MOST: Final = 1.5
"""Times the p99 of who is alone."""
QUOTAS: Final = {
    # Twice the calm one's rate, as docs/operate/limits.md has it.
    "GATEWAY_QUOTA_CALLS": f"{2 * CALM.rate:g}",
    "GATEWAY_QUOTA_BURST_SECONDS": "1",
}


def greedy(seed: int, report: Report) -> None:
    """Send too much with quotas, then without any setting, then small but expensive requests. Raise
    SuiteError or NotMeasured."""
    for settings in (QUOTAS, {}):
        with before_backends(settings) as suite:
            asyncio.run(_greedy(suite, settings, seed, report))
    attackers(seed, report)


async def _greedy(suite: Suite, settings: Mapping[str, str], seed: int, report: Report) -> None:
    chance = random.Random(seed)
    address = suite.addresses()["gateway"]
    async with connections(address, 2) as own, connections(address, CONNECTIONS) as many:
        calm = shopper(own, "calm")
        await come(calm, [Phase(CALM.rate, SETTLE_SECONDS)], chance)
        (alone,) = await come(calm, [CALM], chance)
        beside = await _beside(calm, shopper(many, "greedy"), chance, report)
    check_pace(alone)
    if settings:
        judge_quotas(alone, beside, report)
    else:
        judge_shares(alone, beside, report)


async def _beside(calm: Ask, greedy: Ask, chance: random.Random, report: Report) -> Sequence[Got]:
    """Return the regular caller's answers while the greedy caller sends requests."""
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(come(greedy, [GREEDY], random.Random(chance.random())))
        await asyncio.sleep(SETTLE_SECONDS)
        (beside,) = await come(calm, [CALM], chance)
    (asked,) = asking.result()
    check_pace([*beside, *asked])
    report.say(f"the greedy one asked {GREEDY.rate:.0f} times a second: {counted(asked)}")
    return beside


def judge_quotas(alone: Sequence[Got], beside: Sequence[Got], report: Report) -> None:
    """Check that a caller's quota keeps the backends free for other callers."""
    before, now = p99(g.seconds for g in alone), p99(g.seconds for g in beside)
    whole = all(each.outcome == WHOLE for each in (*alone, *beside))
    report.add(
        f"greedy beside calm, with quotas: the calm one's p99 ≤ {MOST:g} × alone",
        bool(beside) and whole and now <= MOST * before,
        f"{now * 1e3:.0f} ms, alone {before * 1e3:.0f} ms; {counted(beside)}",
    )


def judge_shares(alone: Sequence[Got], beside: Sequence[Got], report: Report) -> None:
    """Check that, without quotas, other callers wait longer, but all are answered in time."""
    before, now = p99(g.seconds for g in alone), p99(g.seconds for g in beside)
    report.add(
        "greedy beside calm, nothing set: the calm one is answered, whole and in time",
        bool(beside) and all(each.outcome == WHOLE for each in beside) and now <= DEADLINE_SECONDS,
        f"p99 {now * 1e3:.0f} ms, alone {before * 1e3:.0f} ms; {counted(beside)}",
    )
