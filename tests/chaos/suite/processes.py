"""Each process of a whole suite is killed, then stopped, under a shop's load: the quality of the
answers meanwhile, and the time until full recovery.

The engine of this suite is Milvus Lite, and PostgreSQL is none of its programs. Milvus' server is
killed, stopped and restarted by `outages-server` (retriever/outages.py), PostgreSQL by `database`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from local_suite.programs import ALL
from local_suite.suite import Suite
from sightline_client import SightlineClient
from sightline_client.values.answers import Cause
from tests.chaos.model import Report
from tests.chaos.stage import START_SECONDS
from tests.chaos.suite.replicas import SET_UP, front, replicated
from tests.chaos.suite.shop import (
    CAMERAS,
    SECONDS,
    WHOLE,
    WRITES,
    Got,
    Ledger,
    Load,
    answered,
    cameras,
    counted,
    open_shop,
    shoppers,
    writers,
)
from tests.chaos.watching import hung

ANSWERED: Final = 0.999
"""The share of calls that are answered within their deadline; what is promised."""
RECOVERY_SECONDS: Final = 5.0
"""Promised seconds from a process's return until all answers are complete."""
FOUND_SECONDS: Final = 5.0
"""Seconds after which calls no longer go to a lost process, if there is another one."""
RATES: Final = {**dict.fromkeys(WHOLE, 1.0), **dict.fromkeys(WRITES, 0.5)}
"""Calls a second: what two cores answer in a third of their time."""
CAMERA_RATES: Final = dict.fromkeys(CAMERAS, 0.5)
TYPED: Final = frozenset(
    {
        *("EMBEDDER_UNAVAILABLE", "RETRIEVER_UNAVAILABLE", "INDEX_UNAVAILABLE"),
        "VISION_UNAVAILABLE",
        *("MODEL_NOT_READY", "EMBED_QUEUE_FULL", "UNAVAILABLE", "DEADLINE_EXCEEDED"),
    }
)
"""Reasons by which calls of cameras may fail while a process is lost."""
BACK_SECONDS: Final = 5.0
"""Promised seconds until the process of all services answers again."""
HOW: Final = ("killed", "stopped")
Faults = Mapping[str, Mapping[str, Callable[[], Awaitable[None]]]]
"""Further ways to lose a process, by its name; each returns when it is back."""
NO_FAULTS: Final[Faults] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Left:
    """Remaining sources of answers while a process is lost."""

    causes: frozenset[str] = frozenset()
    """Causes that degraded answers must name."""
    branches: Mapping[str, str] = field(default_factory=dict)
    """The best branch that is left, by kind of shopper, where it is not that of whole answers."""
    alone: bool = False
    """True if no other process does its work. Otherwise answers are complete once the loss is
    detected."""


def _other(*causes: str) -> Left:
    return Left(frozenset({*causes, Cause.STAGE_DEADLINE}))


LEFT: Final[Mapping[str, Left]] = {
    "triton": Left(
        frozenset({Cause.EMBEDDER_UNAVAILABLE, Cause.STAGE_DEADLINE}),
        {"photo": "popular", "text": "keywords"},
        alone=True,
    ),
    # The same products as before: a small catalog is compared exactly.
    "milvus": Left(frozenset({Cause.INDEX_UNAVAILABLE}), alone=True),
    "embedder": _other(Cause.EMBEDDER_UNAVAILABLE),
    "retriever": _other(Cause.RETRIEVER_UNAVAILABLE),
    "retriever-worker": Left(),
    "ranker": _other(
        Cause.RANKER_UNAVAILABLE, Cause.PROFILE_UNAVAILABLE, Cause.ANSWER_RECORD_DROPPED
    ),
    "ranker-worker": Left(),
    "vision": Left(alone=True),
    "vision-worker": Left(),
    "gateway": Left(),
    "gateway-http": Left(),
    ALL: Left(
        frozenset(
            {
                *(
                    Cause.EMBEDDER_UNAVAILABLE,
                    Cause.RETRIEVER_UNAVAILABLE,
                    Cause.RANKER_UNAVAILABLE,
                ),
                *(Cause.PROFILE_UNAVAILABLE, Cause.ANSWER_RECORD_DROPPED, Cause.STAGE_DEADLINE),
            }
        ),
        alone=True,
    ),
}
"""The fallbacks (services/gateway/README.md), by the process that is lost; ALL is the one of all
services, in a suite without the others."""


@dataclass(slots=True)
class Loss:
    """Loss of one process in one way; times by time.monotonic()."""

    process: str
    how: str
    lost: float = 0.0
    back: float = 0.0
    """Time at which it answered again, or continued."""
    well: float = 0.0
    """Time of the last incomplete answer."""

    def silences(self, each: Got) -> bool:
        """Return whether a call came while no process could answer it, or before its caller found
        the next one; `recovery` judges how long that takes."""
        found = max(self.back, self.well)
        return self.process == ALL and each.began <= found and each.ended > self.lost

    @property
    def recovery(self) -> float:
        """Seconds from its return to the last answer that was not whole; 0 = there was none."""
        return max(0.0, self.well - self.back)

    def degrades(self, began: float) -> bool:
        """Return whether an answer to a request of this time may be degraded by the loss."""
        found = self.back if LEFT[self.process].alone else self.lost + FOUND_SECONDS
        return began <= found or self.back <= began <= self.back + RECOVERY_SECONDS


def processes(stopped: float, seed: int, report: Report) -> None:
    """Kill each process, then stop each for `stopped` seconds. Raise SuiteError, NotMeasured or
    NoPostgreSQL."""
    with replicated() as suite:
        asyncio.run(lose_each(suite, SET_UP, stopped, seed, report))


async def lose_each(
    suite: Suite, set_up: str, stopped: float, seed: int, report: Report, faults: Faults = NO_FAULTS
) -> None:
    """Lose each process of a suite in each way; `faults` are further ways."""
    ledger, losses = Ledger(), list[Loss]()
    async with SightlineClient(front(suite), timeout=SECONDS, batch_timeout=SECONDS) as client:
        await open_shop(client)
        report.say(f"a shop is open: {set_up}; the client's deadline of {SECONDS:.0f} s")
        asks = {**shoppers(client, seed), **writers(client, ledger), **await cameras(client)}
        load = Load(asks, {**RATES, **CAMERA_RATES})
        async with load.running():
            began = await load.calm(time.monotonic())
            for process in [each for each in LEFT if each in suite.programs]:
                for how in (*HOW, *faults.get(process, ())):
                    loss = await _lose(suite, Loss(process, how), stopped, load, faults)
                    losses.append(loss)
                    judge(loss, load.got, report)
                    report.say(f"{process} {how}: whole {loss.recovery:.1f} s after its return")
        lost = await ledger.lost(client)
    every = [each for each in load.got if each.ended >= began]
    every = [each for each in every if not any(loss.silences(each) for loss in losses)]
    share = answered(_shoppers(every))
    report.add(
        f"all of it: ≥ {ANSWERED:.1%} of shoppers and writers answered",
        share >= ANSWERED,
        f"{_by_kind(every)}; {set_up}",
    )
    measured = f"of {ledger}: {len(lost)} lost {', '.join(lost[:3])}"
    report.add("acknowledged writes: 0 lost", bool(ledger.events) and not lost, measured)


async def _lose(suite: Suite, loss: Loss, stopped: float, load: Load, faults: Faults) -> Loss:
    """Cause one loss, from one healthy state to the next."""
    await load.calm(time.monotonic())
    loss.lost = time.monotonic()
    if loss.how in faults.get(loss.process, ()):
        await faults[loss.process][loss.how]()
    elif loss.how == "killed":
        await asyncio.to_thread(suite.kill, loss.process)
        await asyncio.to_thread(suite.wait_healthy, loss.process, START_SECONDS)
    else:
        with hung(suite.pid(loss.process)):
            await asyncio.sleep(stopped)
    loss.back = time.monotonic()
    loss.well = await load.calm(loss.lost)
    return loss


def judge(loss: Loss, got: Sequence[Got], report: Report) -> None:
    """Judge the answers to shoppers from the loss until full recovery."""
    around = [each for each in got if each.ended >= loss.lost and not loss.silences(each)]
    wrong = Counter(why for each in around if (why := fault(loss, each)))
    flagged = Counter(" and ".join(sorted(each.causes)) for each in around if each.causes)
    away = loss.back - loss.lost
    if loss.process == ALL and loss.how != "stopped":
        back = f"{loss.process} {loss.how}: back within {BACK_SECONDS:.0f} s"
        report.add(back, away <= BACK_SECONDS, f"{away:.1f} s")
    report.add(
        f"{loss.process} {loss.how} ({away:.0f} s): answered, by the best fallback, whole again",
        answered(_shoppers(around)) >= ANSWERED and not wrong and loss.recovery <= RECOVERY_SECONDS,
        f"{counted(around)}; degraded: {_words(flagged)}; not as promised: {_words(wrong)}; "
        f"whole {loss.recovery:.1f} s after its return",
    )


def fault(loss: Loss, each: Got) -> str:
    """Return how an answer breaks the promises for a lost process; empty if it breaks none."""
    if each.error and each.kind in CAMERAS:
        if each.error not in TYPED:
            return f"{each.kind} failed by {each.error}"
        return "" if loss.degrades(each.began) else f"{each.kind} failed without need"
    if each.error or each.whole:
        return ""  # an error is counted among the unanswered
    left, whole = LEFT[loss.process], WHOLE[each.kind]
    if not each.causes:
        names = " and ".join(sorted(each.branches))
        return f"{each.kind} by {names}{'' if each.ranked else ', not ranked'}, not flagged"
    if strange := each.causes - left.causes:
        return f"{each.kind} flagged {' and '.join(sorted(strange))}"
    if not loss.degrades(each.began):
        return f"{each.kind} degraded without need"
    if left.alone and not (each.best(left.branches.get(each.kind, whole)) or each.best(whole)):
        return f"{each.kind} not of the best branch that is left"
    return ""


def _shoppers(got: Sequence[Got]) -> Sequence[Got]:
    """Return the calls of shoppers and writers: those of cameras have no fallback."""
    return [each for each in got if each.kind not in CAMERAS]


def _by_kind(got: Sequence[Got]) -> str:
    kinds = {kind: [each for each in got if each.kind == kind] for kind in (*RATES, *CAMERAS)}
    shares = ", ".join(f"{kind} {answered(some):.2%}" for kind, some in kinds.items())
    return f"{counted(got)}; {shares}"


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common(4)) or "none"
