"""All services in one process: it is killed, stopped and blocked under a shop's load. So are the
processes beside it, but for being blocked.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import grpc

from examples.wines.catalogue import load_wines
from examples.wines.local import free_port_base, own
from local_suite.model import Program
from local_suite.programs import ALL, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient, SightlineError
from tests.chaos.model import Report
from tests.chaos.stage import START_SECONDS, hasty
from tests.chaos.suite.processes import lose_each
from tests.chaos.suite.shop import SECONDS
from tests.fakes import faulty_all

SET_UP: Final = (
    "one process of four services, vision, three workers, Triton and Milvus Lite; SQLite"
)
LOOK_SECONDS: Final = 0.05


def one_process(stopped: float, seed: int, report: Report) -> None:
    """Kill, stop and block it; stop for `stopped` seconds. Raise SuiteError or NotMeasured."""
    with _suite() as suite:
        blocks = {ALL: {"blocked": lambda: _block(suite)}}
        asyncio.run(lose_each(suite, SET_UP, stopped, seed, report, blocks))


@contextlib.contextmanager
def _suite() -> Iterator[Suite]:
    def make(data: Path) -> Suite:
        made = sightline(data, free_port_base(), target=ALL, vision=True)
        return Suite(data, [_faulty(hasty(each), data) for each in made], report=lambda _: None)

    with own(make) as suite:
        yield suite


def _faulty(program: Program, data: Path) -> Program:
    """Return the process with a ranker that can be made to block it."""
    if program.name != ALL:
        return program
    command = (sys.executable, "-m", faulty_all.__name__)
    return replace(
        program, command=command, environment={**program.environment, "FAULTS": str(data)}
    )


async def _block(suite: Suite) -> None:
    """Have the ranker block the event loop, and wait until the next process answers."""
    pid = suite.pid(ALL)
    async with SightlineClient(suite.addresses()["gateway"], timeout=SECONDS) as client:
        with contextlib.suppress(SightlineError, grpc.RpcError):
            await client.recommend(products=load_wines()[0].id, user="blocks")
    while suite.pid(ALL) in (pid, 0):  # noqa: ASYNC110 - the supervisor tells nobody
        await asyncio.sleep(LOOK_SECONDS)
    await asyncio.to_thread(suite.wait_healthy, ALL, START_SECONDS)
