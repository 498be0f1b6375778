"""The overlay `small`, whose services are one process: installed, used, and its process killed."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.model import Report
from tests.chaos.suite.shop import Ledger, writers
from tests.cluster.parts.faults import kill
from tests.cluster.parts.medium import checks, first_answer, install
from tests.cluster.parts.stage import Stage
from tests.contracts.k8s import TOGETHER

CHECKED = 3
"""One process, and two workers."""
WRITTEN = 20


def small(stage: Stage, report: Report) -> None:
    """Install it, ask about a photo, kill its process and remove it."""
    install(stage, report, name="small")
    began = time.monotonic()
    answer = asyncio.run(first_answer(stage))
    report.add(
        "one process: wines imported, a model trained and promoted, a photo answered",
        answer > 0,
        f"{time.monotonic() - began:.0f} s; {answer} products in the answer",
    )
    took = checks(stage.kube)
    report.add(
        "one process: an init container checked the settings of all services",
        len(took) == CHECKED,
        ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(took.items())),
    )
    asyncio.run(killed(stage, report))
    stage.clear()


async def killed(stage: Stage, report: Report) -> None:
    """Kill the process after acknowledged writes, and look for them when it is ready again."""
    ledger = Ledger()
    async with stage.client("gateway-admin", 8609, timeout=30) as client:
        for write in writers(client, ledger).values():
            for _ in range(WRITTEN):
                await write()
        began = time.monotonic()
        await asyncio.to_thread(kill, stage, TOGETHER)
        took = time.monotonic() - began
        lost = await ledger.lost(client)
    report.add(
        "one process is killed: restarted by the kubelet, 0 acknowledged writes lost",
        not lost,
        f"ready after {took:.0f} s; {len(lost)} of {ledger} lost",
    )
