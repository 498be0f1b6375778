"""Shoppers and a shop that call the cluster's gateway 10 times a second, whatever happens there."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sightline_client import SightlineClient
from tests.chaos.model import Report
from tests.chaos.suite.crowd import p99
from tests.chaos.suite.shop import SECONDS, WHOLE, WRITES, Got, Ledger, Load, shoppers, writers
from tests.cluster.parts.stage import Stage

RATES: Final = {**dict.fromkeys(WHOLE, 2.0), **dict.fromkeys(WRITES, 1.0)}
"""Calls a second: 10 in all."""
SEED: Final = 20
NO_FAILURES: Final = 0.0
WRITES_APART: Final = 100_000
"""Between the numbers of two parts: an event of a known id and another content is rejected."""


@dataclass(slots=True)
class UnderLoad:
    """Steps while calls arrive."""

    load: Load
    report: Report
    client: SightlineClient
    ledger: Ledger

    async def step(
        self, name: str, do: Callable[[], object], allowed: float | None = NO_FAILURES
    ) -> list[Got]:
        """Do something, wait until all answers are complete again, and judge the calls meanwhile.

        `allowed`: the maximum share of failed calls; None: any, and only the return to complete
        answers counts.
        """
        began, first = time.monotonic(), len(self.load.got)
        await asyncio.to_thread(do)
        done = time.monotonic()
        well = await self.load.calm(began)
        got = self.load.got[first:]
        failed = [each for each in got if each.error]
        share = len(failed) / len(got) if got else 1.0
        said = (
            f"{described(got)}; took {done - began:.0f} s, complete answers again"
            f" after {well - began:.0f} s"
        )
        self.report.say(f"{name}: {said}")
        self.report.add(name, allowed is None or share <= allowed, said)
        return got


def described(got: Sequence[Got]) -> str:
    """Return the numbers of calls, failures and degraded answers."""
    failed = Counter(f"{each.kind}: {each.error}" for each in got if each.error)
    degraded = sum(bool(each.causes) for each in got)
    why = ", ".join(f"{number} {words}" for words, number in failed.most_common(4))
    slow = p99(each.ended - each.began for each in got)
    return (
        f"{len(got)} calls, {failed.total()} failed{f' ({why})' if why else ''},"
        f" {degraded / max(1, len(got)):.1%} degraded, p99 {1000 * slow:.0f} ms"
    )


@asynccontextmanager
async def loaded(stage: Stage, report: Report, name: str) -> AsyncIterator[UnderLoad]:
    """Send calls during the block. At the end, check that no acknowledged write was lost."""
    ledger = Ledger()
    async with stage.client("gateway", 8600, timeout=SECONDS, batch_timeout=SECONDS) as client:
        asks = {**shoppers(client, SEED), **writers(client, ledger, stage.written)}
        stage.written += WRITES_APART
        load = Load(asks, RATES)
        async with load.running():
            await load.calm(time.monotonic())
            yield UnderLoad(load, report, client, ledger)
        lost = await ledger.lost(client)
    report.add(f"{name}: 0 acknowledged writes lost", not lost, f"{len(lost)} of {ledger}")
