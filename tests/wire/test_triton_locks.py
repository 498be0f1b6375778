"""The real server as production starts it: callers without a key can change and read nothing."""

import asyncio
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import tritonclient.grpc.aio as tritonclient
from tritonclient.utils import InferenceServerException

from embedder.adapters.triton.client import Triton
from embedder.domain.errors import ModelNotReady
from servicekit.rpc.tls import Certificates
from tests import certificates
from tests.engines import ROOT, free_port
from tests.triton import TRITON
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

SCRIPT = ROOT / "deploy" / "triton" / "server" / "locked-triton"
KEY = "0123456789abcdef"


def server() -> Path:
    """Return the real binary in the environment that `make setup` creates."""
    (found,) = TRITON.glob(".venv/lib/python*/site-packages/pytriton/tritonserver/bin/tritonserver")
    return found


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """Yield the gRPC and HTTP ports of a server without models."""
    async with started(tmp_path) as found:
        yield found


@asynccontextmanager
async def started(tmp_path: Path, *more: str) -> AsyncIterator[tuple[int, int]]:
    """Run such a server with further arguments. Yield its ports."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "models").mkdir()
    grpc_port, http_port = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        *(SCRIPT, tmp_path / "key", f"--model-repository={tmp_path / 'models'}"),
        *("--model-control-mode=explicit", "--strict-readiness=false", "--allow-metrics=false"),
        *("--grpc-address=127.0.0.1", f"--grpc-port={grpc_port}"),
        *("--http-address=127.0.0.1", f"--http-port={http_port}"),
        *("--pinned-memory-pool-byte-size=0", *more),
        env=os.environ | {"PATH": f"{server().parent}:{os.environ['PATH']}"},
    )
    try:
        await until(lambda: fetched(http_port, "/v2/health/ready") == 200)
        yield grpc_port, http_port
    finally:
        process.kill()
        await process.wait()


def fetched(port: int, path: str, body: bytes | None = None) -> int:
    """Return the status of an answer over HTTP; 0 without an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", body, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


async def test_models_are_listed_loaded_and_unloaded_with_the_key_alone(
    ports: tuple[int, int],
) -> None:
    target = f"127.0.0.1:{ports[0]}"
    async with Triton(target, timeout=SECONDS, control_key=KEY) as ours:
        assert await ours.states() == {}
        assert await ours.loaded() == set()
        await ours.unload("no_such_model")
        with pytest.raises(ModelNotReady, match="can't load no_such_model"):
            await ours.load("no_such_model")
    for key in ("", "another"):
        async with Triton(target, timeout=SECONDS, control_key=key) as theirs:
            for attempt in (
                theirs.states,
                theirs.loaded,
                lambda: theirs.load("no_such_model"),
                lambda: theirs.unload("no_such_model"),
            ):
                with pytest.raises(ModelNotReady, match="EMBEDDER_TRITON_KEY_FILE"):
                    await attempt()


async def test_in_tls_each_side_shows_who_it_is_also_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    signer = certificates.authority()
    theirs = certificates.write(tmp_path / "theirs", signer)
    ours = certificates.write(tmp_path / "ours", certificates.authority())
    arguments = [
        "--grpc-use-ssl-mutual=true",
        f"--grpc-server-cert={theirs / 'tls.crt'}",
        f"--grpc-server-key={theirs / 'tls.key'}",
        f"--grpc-root-cert={theirs / 'ca.crt'}",
    ]
    async with started(tmp_path, *arguments) as (port, _):
        target = f"127.0.0.1:{port}"
        async with Triton(target, timeout=SECONDS, control_key=KEY) as plain:
            assert await plain.version() is None
        held = Certificates(ours, ours / "ca.crt", "triton")
        async with Triton(target, timeout=SECONDS, control_key=KEY, tls=held) as client:
            assert await client.version() is None
            certificates.write(ours, signer, changed=2)
            assert await client.version() is not None
            assert await client.states() == {}
            await client.unload("no_such_model")


async def test_no_call_fails_where_connections_end_all_the_time(tmp_path: Path) -> None:
    """End connections regularly, as on Kubernetes, so that new Triton pods get calls."""
    ended, connections = asyncio.Event(), set[int]()

    async def call(client: Triton) -> None:
        while not ended.is_set():
            assert await client.version() is not None

    async with (
        started(tmp_path, "--grpc-max-connection-age=50") as (port, _),
        Triton(f"127.0.0.1:{port}", timeout=SECONDS, control_key=KEY) as client,
    ):
        calling = [asyncio.create_task(call(client)) for _ in range(32)]
        for _ in range(20):
            await asyncio.sleep(0.1)
            held = psutil.Process().net_connections("tcp")
            connections |= {each.laddr.port for each in held if each.raddr[1:] == (port,)}
        ended.set()
        await asyncio.gather(*calling)
    assert len(connections) > 3


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.register_system_shared_memory("mine", "/mine", 8),
        lambda client: client.get_trace_settings(),
        lambda client: client.update_log_settings({"log_verbose_level": 1}),
    ],
)
async def test_what_the_embedder_has_no_use_for_is_closed_to_everybody(
    ports: tuple[int, int], call: Callable[[Any], Any]
) -> None:
    async with tritonclient.InferenceServerClient(f"127.0.0.1:{ports[0]}") as client:
        assert await client.is_server_ready()
        with pytest.raises(InferenceServerException, match="restricted"):
            await call(client)


async def test_over_http_it_says_whether_it_is_well_and_nothing_else(
    ports: tuple[int, int],
) -> None:
    for path in ("/v2/health/ready", "/v2/health/live"):
        assert await asyncio.to_thread(fetched, ports[1], path) == 200
    for path, body in (
        ("/v2", None),
        ("/v2/repository/index", b"{}"),
        ("/v2/repository/models/any/load", b"{}"),
        ("/v2/models/any/config", None),
        ("/v2/models/any/infer", b"{}"),
        ("/v2/models/stats", None),
        ("/v2/systemsharedmemory/status", None),
        ("/v2/trace/setting", None),
        ("/v2/logging", None),
    ):
        assert await asyncio.to_thread(fetched, ports[1], path, body) == 403, path
