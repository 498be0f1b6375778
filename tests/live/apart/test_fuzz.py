"""A short run of `make fuzz` against the suite of all live tests, and one of its intruders."""

import asyncio
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local_suite.model import HOST, Program
from local_suite.suite import Suite
from tests.engines import free_port
from tests.fuzz import findings, pictures
from tests.fuzz.callers import REFUSED, Callers
from tests.fuzz.composing import Composer
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import Call, Plan, Verdict
from tests.fuzz.run import run
from tests.fuzz.surface import METHODS, READ_ONLY
from tests.fuzz.wire import Sender
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

TRITON_GAVE_UP = {"no process died", "memory of triton"}
"""Checks that are impossible if Triton ended by itself; all others must be measured, and hold."""


@pytest.mark.usefixtures("shop_is_open")  # workers that did nothing yet grow by their first job
async def test_rubbish_breaks_nothing(suite: Suite, tmp_path: Path) -> None:
    """Check that no call answers INTERNAL, and no process leaks, dies, grows or forgets
    acknowledged writes. The number of requests bounds the run; its time limits only end a hanging
    one."""
    plan = Plan(
        requests=400,
        images=40,
        filters=30,
        seed=20,
        seconds=5 * SECONDS,
        deadline_seconds=20,
        in_flight=8,
        train=False,
        filter_seconds=SECONDS,
        probe_seconds=SECONDS / 3,
    )
    result = await run(suite, plan, print)
    files = [str(path) for path in findings.write(tmp_path, result.findings)]
    wrong = [check for check in result.checks if not check.verdict.fine]
    unmeasured = {check.name for check in wrong if check.verdict is Verdict.NOT_MEASURED}
    if unmeasured == TRITON_GAVE_UP and len(wrong) == len(unmeasured):
        pytest.skip(f"NOT MEASURED: {wrong}")
    why = "\n".join(f"{each.check}: {each.why}" for each in result.findings)
    assert result.clean, f"{wrong}\n{why}\n{files}"


INTRUDERS, TOGETHER = 400, 8
"""Their calls, and so many of them at a time."""


@contextmanager
def guarded(suite: Suite, who: Callers, folder: Path) -> Iterator[Program]:
    """Run another gateway of a suite, which authenticates callers."""
    (plain,) = who.guarded([suite.programs["gateway"]], folder)
    port = free_port()
    made = replace(plain, ports={**plain.ports, "grpc": port})
    own = {"GATEWAY_PORT": str(port), "GATEWAY_METRICS_PORT": "0"}
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            made.command,
            cwd=made.folder,
            env=os.environ | dict(made.environment) | own,
            stdout=log,
            stderr=log,
        )
        try:
            with grpc.insecure_channel(f"{HOST}:{made.ports['probes']}") as probes:
                health = health_pb2_grpc.HealthStub(probes)
                asked = health_pb2.HealthCheckRequest()
                health.Check(asked, timeout=SECONDS, wait_for_ready=True)
            yield made
        finally:
            process.terminate()
            process.wait(SECONDS)


async def test_intruders_get_nothing(suite: Suite, tmp_path: Path) -> None:
    """Send requests without a key, with an unknown key, and with keys of another role, port and
    catalog; a fully authorized caller gets answers meanwhile."""
    who, chance, ledger = Callers.new(), random.Random(20), Ledger()
    composer, places = Composer(chance, pictures.seeds(1)), asyncio.Semaphore(TOGETHER)
    with guarded(suite, who, tmp_path) as gateway:
        async with (
            grpc.aio.insecure_channel(f"{HOST}:{gateway.ports['grpc']}") as public,
            grpc.aio.insecure_channel(f"{HOST}:{gateway.ports['operators']}") as operators,
        ):
            sender = Sender(public, ledger, who, operators)

            async def send(call: Call) -> str:
                async with places:
                    return (await sender.send(call)).code

            calls = [who.intruder(chance, *composer.draw()) for _ in range(INTRUDERS)]
            await asyncio.gather(*map(send, calls))
            own = [Call(path, b"", 20.0) for path, m in METHODS.items() if m.name in READ_ONLY]
            let_in = set(await asyncio.gather(*map(send, own)))
    assert {caller for caller, _ in sender.intruders} == REFUSED.keys()
    assert sender.findings == []
    assert "OK" in let_in
    assert not let_in & {"UNAUTHENTICATED", "PERMISSION_DENIED"}
