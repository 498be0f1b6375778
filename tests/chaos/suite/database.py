"""PostgreSQL is killed, then stopped, under a shop's load.

Without it nothing is written. What is promised: shoppers are answered out of snapshots, which is
flagged; who writes hears in time that it failed; all is whole soon after its return, and nothing is
lost that was acknowledged.
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
from tests.chaos.stage import target
from tests.chaos.suite.processes import ANSWERED, RATES, RECOVERY_SECONDS
from tests.chaos.suite.replicas import ONE_PROCESS, SET_UP, front, on_postgresql
from tests.chaos.suite.shop import (
    SECONDS,
    WHOLE,
    Got,
    Ledger,
    Load,
    answered,
    counted,
    open_shop,
    shoppers,
    writers,
)
from tests.chaos.watching import hung
from tests.postgres import PostgreSQL

AWAY_SECONDS: Final = 5.0
"""Seconds for which it is down after a kill."""
UNTOLD: Final = frozenset({"late", "empty success"})
"""Outcomes that no caller may get."""


def database(stopped: float, seed: int, report: Report) -> None:
    """Kill PostgreSQL, then stop it for `stopped` seconds. Raise SuiteError, NotMeasured or
    NoPostgreSQL."""
    with on_postgresql(second=target.get() != ALL) as (suite, server):
        asyncio.run(_database(suite, server, stopped, seed, report))


async def _database(
    suite: Suite, server: PostgreSQL, stopped: float, seed: int, report: Report
) -> None:
    ledger, set_up = Ledger(), ONE_PROCESS if target.get() == ALL else SET_UP
    async with SightlineClient(front(suite), timeout=SECONDS, batch_timeout=SECONDS) as client:
        await open_shop(client)
        report.say(f"a shop is open: {set_up}; the client's deadline of {SECONDS:.0f} s")
        load = Load({**shoppers(client, seed), **writers(client, ledger)}, RATES)
        async with load.running():
            await load.calm(time.monotonic())
            for how in ("killed", "stopped"):
                lost = time.monotonic()
                await _lose(server, how, stopped)
                back = time.monotonic()
                whole = max(0.0, await load.calm(lost) - back)
                judge(how, back - lost, whole, [g for g in load.got if g.ended >= lost], report)
                await asyncio.sleep(1.0)
        gone = await ledger.lost(client)
    measured = f"of {ledger}: {len(gone)} lost {', '.join(gone[:3])}"
    held = bool(ledger.events) and not gone
    report.add("PostgreSQL lost: 0 acknowledged writes lost", held, measured)


async def _lose(server: PostgreSQL, how: str, stopped: float) -> None:
    """Take the server down, and return when it answers again."""
    if how == "killed":
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(server.start)
        return
    assert server.process is not None, "not running"
    with hung(server.process.pid):
        await asyncio.sleep(stopped)


def judge(how: str, away: float, whole: float, around: list[Got], report: Report) -> None:
    """Judge the answers to shoppers from the loss until full recovery."""
    asked = [each for each in around if each.kind in WHOLE]
    plain = [each for each in asked if not (each.error or each.whole or each.causes)]
    untold = Counter(f"{each.kind}: {each.error}" for each in around if each.error in UNTOLD)
    flagged = Counter(" and ".join(sorted(each.causes)) for each in around if each.causes)
    report.add(
        f"PostgreSQL {how} ({away:.0f} s): shoppers answered, whole again",
        answered(asked) >= ANSWERED and not (plain or untold) and whole <= RECOVERY_SECONDS,
        f"{counted(asked)}, {len(plain)} degraded and not flagged; with writes {counted(around)}; "
        f"degraded: {dict(flagged)}; late or empty: {dict(untold) or 'none'}; "
        f"whole {whole:.1f} s after its return",
    )
