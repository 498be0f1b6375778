"""Several processes serve one port, under one supervisor."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from pydantic import ValidationError

from servicekit.config import ServerSettings, SharedServerSettings
from servicekit.processes import process_group as processes
from servicekit.rpc import server
from tests.engines import free_port
from tests.fakes.kit_echo import Echo, binding
from tests.fakes.kit_processes import NAME
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]


class Shop:
    """Processes that share a port."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.log = folder / "log"
        given = {
            "SHOP_PORT": str(self.port),
            "SHOP_METRICS_PORT": str(self.metrics_port),
            "SHOP_PROCESSES": "2",
            "SHOP_DRAIN_SECONDS": "60",
            "TMPDIR": str(folder),
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.kit_processes"],
                env=os.environ | given | environment,
                stderr=log,
                cwd=ROOT,
            )

    async def ask(self, seconds: float = 0) -> int:
        """Return the process that answers on a new connection."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options) as peer:
            call = peer.unary_unary(f"/{NAME}/Who", None, None)
            return int(await call(str(seconds).encode(), timeout=SECONDS, wait_for_ready=True))

    async def all_up(self, count: int = 2) -> set[int]:
        """Return the ids of the processes, once this many have answered."""
        seen: set[int] = set()

        async def enough() -> bool:
            seen.add(await self.ask())
            return len(seen & set(self.children())) >= count

        await until(enough)
        return seen & set(self.children())

    def scrape(self) -> str:
        """Return the metrics of all processes."""
        address = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            return str(answer.read(), "utf-8")

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    async def stop(self) -> int:
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, SECONDS)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, SHOP_SOON="0")
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.full
async def test_two_processes_answer_on_one_port_and_are_counted_together(
    shop: Shop, tmp_path: Path
) -> None:
    assert len(await shop.all_up()) == 2
    asked = len([line for line in shop.lines() if line["event"] == "call"])
    for _ in range(10):
        await shop.ask()
    scraped = await asyncio.to_thread(shop.scrape)
    assert 'sightline_calls_in_flight{service="shop"} 0.0' in scraped
    sold = float(scraped.partition("\ntest_sold_total ")[2].split()[0])
    assert sold >= asked + 10
    assert "test_open 2.0\n" in scraped
    calls = f'sightline_rpc_seconds_count{{code="OK",method="{NAME}/Who",service="shop"}}'
    assert float(scraped.partition(calls)[2].split()[0]) == sold
    assert folders(tmp_path)
    assert await shop.stop() == 0
    assert not folders(tmp_path)
    lines = shop.lines()
    assert len([line for line in lines if line["event"] == "call"]) == sold
    assert {line["process"] for line in lines} == {1, 2}


def folders(of: Path) -> list[Path]:
    """Return the folders in which the processes keep their metrics."""
    return list(of.glob("sightline-metrics-*"))


@pytest.mark.full
async def test_a_process_that_dies_is_replaced(shop: Shop) -> None:
    first = await shop.all_up()
    os.kill(min(first), signal.SIGKILL)
    await until(lambda: min(first) not in shop.children())
    later = await shop.all_up()
    assert max(first) in later
    assert min(first) not in later
    assert await shop.stop() == 0
    replaced = [line for line in shop.lines() if "starting another one" in str(line["event"])]
    assert [line["status"] for line in replaced] == [-signal.SIGKILL]


@pytest.mark.full
async def test_a_stop_is_passed_on_and_lets_calls_end(shop: Shop) -> None:
    both = await shop.all_up()
    assert "sightline_call_seconds_total{" in shop.scrape()
    pending = [asyncio.create_task(shop.ask(3)) for _ in range(4)]
    await until(lambda: 'sightline_calls_in_flight{service="shop"} 4.0' in shop.scrape())
    assert await shop.stop() == 0
    assert {await call for call in pending} <= both


@pytest.mark.full
async def test_processes_end_when_nobody_looks_after_them(shop: Shop) -> None:
    both = await shop.all_up()
    shop.process.kill()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in both))


@pytest.mark.full
async def test_a_process_that_was_left_alone_before_it_served_ends(tmp_path: Path) -> None:
    left = Shop(tmp_path, SIGHTLINE_PROCESS="1", SIGHTLINE_SUPERVISOR="1")
    assert await asyncio.to_thread(left.process.wait, SECONDS) == -signal.SIGTERM


@pytest.mark.full
async def test_a_process_that_can_not_start_ends_all(tmp_path: Path) -> None:
    broken = Shop(tmp_path, SHOP_BROKEN="yes")
    assert await asyncio.to_thread(broken.process.wait, SECONDS) == 7


@pytest.fixture
async def heard_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report ended processes in the event loop, as Python 3.12 does."""
    if sys.version_info < (3, 12):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        monkeypatch.setattr(asyncio.get_event_loop_policy(), "get_child_watcher", lambda: watcher)


@pytest.mark.usefixtures("heard_in_the_loop")
async def test_a_stop_does_not_take_the_status_of_what_has_just_ended(tmp_path: Path) -> None:
    end = tmp_path / "end"
    command = f"until test -e {end}; do sleep 0.01; done; exit 7"
    supervisor = processes._Supervisor(["sh", "-c", command], str(tmp_path))
    kept = asyncio.create_task(supervisor.run(1))
    await until(lambda: supervisor._running)
    end.touch()
    # Block the loop meanwhile.
    os.waitid(os.P_PID, supervisor._running[1].pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
    supervisor._stop()
    assert await kept == 7


@pytest.mark.full
async def test_a_taken_port_is_refused_and_a_shared_one_held(shop: Shop, tmp_path: Path) -> None:
    await shop.all_up()
    with pytest.raises(OSError, match="taken"):
        await server.start([binding(Echo())], ServerSettings(port=shop.port), "shop")
    (tmp_path / "second").mkdir()
    second = Shop(tmp_path / "second", SHOP_PORT=str(shop.port))
    assert await asyncio.to_thread(second.process.wait, SECONDS) != 0
    assert "is the port taken?" in second.log.read_text()
    assert await shop.stop() == 0


def test_several_processes_need_a_port_that_all_know() -> None:
    with pytest.raises(ValidationError, match="not 0"):
        SharedServerSettings(processes=2)
    assert SharedServerSettings(processes=2, port=1).processes == 2
