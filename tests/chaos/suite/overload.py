"""Five times the backends' capacity: accepted requests are answered in time, others are rejected at
once, and the suite recovers when the load falls.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from typing import Final

from local_suite.processes import spent
from local_suite.suite import Suite
from tests.chaos.model import NotMeasured, Report
from tests.chaos.suite.backends import CAPACITY, before_backends
from tests.chaos.suite.crowd import (
    DEADLINE_SECONDS,
    FLAGGED,
    REFUSED,
    WHOLE,
    Got,
    Phase,
    check_pace,
    come,
    connections,
    counted,
    goodput,
    p99,
    shopper,
)

CONNECTIONS: Final = 4
BEFORE: Final = Phase(0.5 * CAPACITY, 4.0)
FLOOD: Final = Phase(5.0 * CAPACITY, 30.0)
AFTER: Final = Phase(0.5 * CAPACITY, 8.0)
RAMP: Final = tuple(Phase(share * CAPACITY, 8.0) for share in (0.9, 1.0, 1.1))
PHASES: Final = (BEFORE, FLOOD, AFTER, *RAMP)
"""The flood comes upon a gateway that was just started and knows nothing of what its backends can
do; what is best without a flood is measured when it is over."""
LEARNING_SECONDS: Final = 5.0
"""Seconds in which a gateway may accept more calls than it can answer: it learns from late
calls."""
LEAST_GOODPUT: Final = 0.9
RECOVERY_SECONDS: Final = 2.0
REFUSAL_SECONDS: Final = 0.1
"""Maximum p99 of rejections, as callers measure it."""
BUSY: Final = 0.9
"""Share of one core: a gateway that uses more is limited by its processor, not by its backends."""
NAME: Final = f"overload {FLOOD.rate / CAPACITY:.0f} ×"


def overload(seed: int, report: Report) -> None:
    """Raise the load from below the backends' capacity to five times as much, and lower it again.
    Raise SuiteError, OSError or NotMeasured."""
    with before_backends({}) as suite:
        asyncio.run(_overload(suite, seed, report))


async def _overload(suite: Suite, seed: int, report: Report) -> None:
    pid, chance = suite.pid("gateway"), random.Random(seed)
    async with connections(suite.addresses()["gateway"], CONNECTIONS) as channels:
        loop, used = asyncio.get_running_loop(), list[float]()
        begin = loop.time()
        for border in (BEFORE.seconds, BEFORE.seconds + FLOOD.seconds):
            loop.call_later(border, lambda: used.append(spent([pid])))
        got = await come(shopper(channels, "calm"), PHASES, chance)
        busy = (used[1] - used[0]) / FLOOD.seconds
    check_pace(each for some in got for each in some)
    if busy > BUSY:
        raise NotMeasured(f"the gateway took {busy:.0%} of a core: the backends are too fast")
    report.say(f"the gateway took {busy:.0%} of a core in the flood")
    judge(got, begin, report)


def judge(got: Sequence[Sequence[Got]], begin: float, report: Report) -> None:
    """Judge the outcomes of each of PHASES; `begin`: start of the first phase."""
    everything = [each for some in got for each in some]
    begins = [begin + sum(each.seconds for each in PHASES[:n]) for n in range(len(PHASES))]
    rates = [
        goodput(everything, begin, phase.seconds)
        for begin, phase in zip(begins, PHASES, strict=True)
    ]
    shown = ", ".join(f"{p.rate:.0f} → {rate:.1f}" for p, rate in zip(PHASES, rates, strict=True))
    report.say(f"asked and answered whole, a second: {shown}")
    peak = max(rates[-len(RAMP) :])
    share = rates[1] / peak if peak else 0.0
    report.add(
        f"{NAME}: goodput ≥ {LEAST_GOODPUT:.0%} of peak",
        share >= LEAST_GOODPUT,
        f"{rates[1]:.1f}/s, {share:.0%} of {peak:.1f}/s; the backends can {CAPACITY:.0f}/s",
    )
    _judge_flood(got[1], begins[1], report)
    _judge_recovery(got[2], begins[2], report)


def _judge_flood(flood: Sequence[Got], begin: float, report: Report) -> None:
    """Judge the accepted and the rejected requests of the overload."""
    learned = [each for each in flood if each.due >= begin + LEARNING_SECONDS]
    admitted = [each for each in learned if each.outcome != REFUSED]
    # An accepted request that fails has wasted its place.
    slow = p99(g.seconds if g.outcome in (WHOLE, FLAGGED) else math.inf for g in admitted)
    early = counted(each for each in flood if each.due < begin + LEARNING_SECONDS)
    report.add(
        f"{NAME}: p99 of the admitted within {DEADLINE_SECONDS:.0f} s",
        bool(admitted) and slow <= DEADLINE_SECONDS,
        f"{slow:.2f} s; {counted(learned)}; in the first {LEARNING_SECONDS:.0f} s {early}",
    )
    refused = [each.seconds for each in flood if each.outcome == REFUSED]
    bare = [each for each in flood if each.outcome.startswith("RESOURCE_EXHAUSTED")]
    report.add(
        f"{NAME}: refused at once, with when to come again",
        bool(refused) and not bare and p99(refused) <= REFUSAL_SECONDS,
        f"{len(refused)} refused, {len(bare)} without RetryInfo; p99 {p99(refused) * 1e3:.0f} ms",
    )


def _judge_recovery(after: Sequence[Got], fell: float, report: Report) -> None:
    """Judge the requests that arrived after the load fell."""
    bad = [each.ended - fell for each in after if each.outcome != WHOLE]
    recovered = max(bad, default=0.0)
    report.add(
        f"{NAME}: recovered within {RECOVERY_SECONDS:.0f} s of its end",
        bool(after) and recovered <= RECOVERY_SECONDS,
        f"{recovered:.1f} s; {counted(after)}",
    )
