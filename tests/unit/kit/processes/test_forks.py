"""Programs that a service starts do not delay its callers."""

import asyncio
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from tests.engines import free_port

ROOT = Path(__file__).parents[4]
CALLERS, CALLS = 4, 250
SOON = 60.0
"""Seconds in which any answer comes."""


@pytest.mark.full
@pytest.mark.slow
async def test_no_new_connection_fails_while_programs_start(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.kit_forks", str(port)]
    with (tmp_path / "log").open("w") as log:
        service = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=log)
    try:
        await _ask(port)
        await asyncio.gather(*(_ask_often(port) for _ in range(CALLERS)))
    finally:
        service.kill()
        await service.wait()
    assert "fork" not in (tmp_path / "log").read_text()


async def _ask_often(port: int) -> None:
    for _ in range(CALLS):
        await _ask(port)


async def _ask(port: int) -> None:
    """Make a call on a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as peer:
        call = peer.unary_unary("/test.Echo/Unary", None, None)
        assert await call(b"x", timeout=SOON, wait_for_ready=True) == b"x"


@pytest.mark.parametrize("service", ["gateway", "embedder", "retriever", "ranker"])
def test_every_service_says_so_before_grpc_is_imported(service: str) -> None:
    """Check the order of imports: gRPC reads the variable once."""
    asked = (
        f"import sys, os, {service}; assert 'grpc' not in sys.modules;"
        " print(os.environ['GRPC_ENABLE_FORK_SUPPORT'])"
    )
    command = [sys.executable, "-c", asked]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "0"
