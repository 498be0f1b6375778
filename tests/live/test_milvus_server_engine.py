"""The Milvus server as our process: its refusals, its shutdown, and several at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local_suite.processes import wait_gone
from retriever.adapters.milvus.index import MilvusIndex
from retriever.domain.index_values import CollectionState
from tests.engines import MILVUS_SERVER_PYTHON, MilvusServer, free_port, milvus_server
from tests.waiting import SECONDS

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with milvus_server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


def serve(data: Path, port: int, metrics_port: int) -> subprocess.CompletedProcess[str]:
    """Start an engine that must refuse to start."""
    ports = ["--port", str(port), "--metrics-port", str(metrics_port)]
    return subprocess.run(
        [*(str(MILVUS_SERVER_PYTHON), "-m", "milvus_server_engine.serve"), "--data", data, *ports],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def server_pid(engine: MilvusServer) -> int:
    """Return the vendor's process, which our process watches."""
    assert engine.process is not None
    pid = engine.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def test_a_folder_or_a_port_in_use_is_refused(engine: MilvusServer, tmp_path: Path) -> None:
    folder = serve(engine.data, free_port(), free_port())
    port = serve(tmp_path / "other", engine.port, free_port())
    metrics = serve(tmp_path / "other", free_port(), engine.metrics_port)
    assert [ended.returncode for ended in (folder, port, metrics)] == [1, 1, 1]
    assert "another server holds this folder's lock" in folder.stderr
    assert f"--port {engine.port}: the port is taken" in port.stderr
    assert f"--metrics-port {engine.metrics_port}: the port is taken" in metrics.stderr


def test_its_parts_listen_where_linux_gives_no_connection_a_port(engine: MilvusServer) -> None:
    given_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports_of(engine)) < given_from


async def test_two_run_side_by_side_and_end_cleanly(engine: MilvusServer, tmp_path: Path) -> None:
    with milvus_server(tmp_path / "beside") as other:
        for each in (engine, other):
            index = MilvusIndex(each.uri)
            assert await index.state("none") is CollectionState.ABSENT
            await index.close()
        server = server_pid(other)
        assert other.stop() == 0
        assert wait_gone(server, 1)
    assert engine.answers()


def test_two_that_start_at_once_share_no_port(engine: MilvusServer, tmp_path: Path) -> None:
    names = json.loads((engine.data / "ports.json").read_text())
    ports = {name: free_port() for name in names}
    first = MilvusServer(tmp_path / "first", free_port())
    second = MilvusServer(tmp_path / "second", free_port())
    for other in (first, second):
        other.data.mkdir()
        (other.data / "ports.json").write_text(json.dumps(ports))
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(MilvusServer.start, (first, second)))
        assert not ports_of(first) & ports_of(second)
        assert first.answers()
        assert second.answers()
    finally:
        first.kill()
        second.kill()


def ports_of(engine: MilvusServer) -> set[int]:
    """Return the ports on which its parts listen."""
    return set(json.loads((engine.data / "ports.json").read_text()).values())


def test_the_server_does_not_outlive_a_kill_of_its_watcher(tmp_path: Path) -> None:
    with milvus_server(tmp_path / "data") as killed:
        server = server_pid(killed)
        killed.kill()
        assert wait_gone(server, 5)


@pytest.mark.parametrize("port", ["80", "99999", "many"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    command = [str(MILVUS_SERVER_PYTHON), "-m", "milvus_server_engine.serve"]
    options = ["--data", str(tmp_path), "--port", port, "--metrics-port", str(free_port())]
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 2
    assert f"{port} is not a port from 1024 to 65535" in ended.stderr
