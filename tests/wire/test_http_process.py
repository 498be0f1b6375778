"""The HTTP server as a process of its own, and the gateway's socket."""

import asyncio
import os
import signal
import stat
import sys
from hashlib import sha256
from pathlib import Path
from socket import AF_UNIX
from socket import socket as socket_of_unix

import httpx
import pytest

from gateway.http.settings import HttpSettings
from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import access_of, build, listeners
from servicekit.config import load
from servicekit.keys.keyring import signing_keys
from servicekit.rpc.server import start
from tests.engines import free_port
from tests.fakes.gateway_wire import running
from tests.waiting import until
from tests.wire.http_face import problem, serving_http

V1 = "/v1/catalogs/default"


async def test_a_process_answers_by_the_gateways_socket_until_it_is_asked_to_end(
    tmp_path: Path,
) -> None:
    socket, port, metrics = tmp_path / "gateway.sock", free_port(), free_port()
    async with running() as suite:
        settings = GatewaySettings(
            port=0,
            socket=socket,
            retriever_target=f"127.0.0.1:{suite.retriever.port}",
            snapshot_seconds=0,
        )
        gateway = build(settings, SceneFiles(None), signing_keys(None))
        own, *also = listeners(settings, access_of(settings))
        umask = os.umask(0o077)
        server = await start(gateway.bindings, settings, "gateway", own.access, also=also)
        os.umask(umask)
        assert not stat.S_IMODE(socket.stat().st_mode) & 0o077, "of the process's user only"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.http"),
            env=os.environ
            | {
                "GATEWAY_HTTP_PORT": str(port),
                "GATEWAY_HTTP_METRICS_PORT": str(metrics),
                "GATEWAY_HTTP_GATEWAY_TARGET": f"unix:{socket}",
            },
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                await until(lambda: answers(client, port))
                found = await client.get(f"http://127.0.0.1:{port}{V1}/products/p1")
                assert found.json()["title"] == "Title p1"
                text = (await client.get(f"http://127.0.0.1:{metrics}/metrics")).text
                assert 'CatalogService/GetProduct",status="200"} 1.0' in text
            process.send_signal(signal.SIGTERM)
            _, said = await process.communicate()
            assert process.returncode == 0, said.decode()
            assert b'"event": "stopped"' in said or b"stopped" in said
        finally:
            if process.returncode is None:
                process.kill()
            await server.stop()
            await gateway.close(0)


async def test_callers_have_the_same_rights_over_the_socket(tmp_path: Path) -> None:
    """The process has no rights of its own: the gateway reads the caller's key, and calls of
    operators stay on their port."""
    keys, socket = tmp_path / "keys.toml", tmp_path / "gateway.sock"
    entries = (("shop", "read"), ("boss", "operate"))
    keys.write_text("".join(map(entry, entries)))
    keys.chmod(0o600)
    socket_of_a_killed_gateway(socket)
    http = {"gateway_target": f"unix:{socket}"}
    also = {"socket": socket, "admin_port": free_port(), "keys_file": keys}
    async with serving_http(http, **also) as face:
        path = f"{V1}/products/p1"
        assert problem(await face.call("GET", path), 401, "TOKEN_MISSING")
        assert problem(await face.call("GET", path, headers=bearer("else")), 401, "TOKEN_INVALID")
        assert (await face.call("GET", path, headers=bearer("shop"))).status_code == 200
        written = await face.post(f"{V1}/products:delete", {"productIds": ["p1"]},
                                  headers=bearer("shop"))  # fmt: skip
        assert problem(written, 403, "ROLE_MISSING")
        listed = await face.call("GET", "/v1/catalogs", headers=bearer("boss"))
        assert problem(listed, 403, "ADMIN_PORT_ONLY")


@pytest.mark.parametrize(("process", "answers"), [("", True), ("1", True), ("2", False)])
def test_of_several_processes_the_first_one_has_the_socket(
    monkeypatch: pytest.MonkeyPatch, process: str, answers: bool
) -> None:
    monkeypatch.setenv("SIGHTLINE_PROCESS", process)
    settings = GatewaySettings(processes=2, socket=Path("/run/gateway.sock"))
    found = [each.socket for each in listeners(settings, access_of(settings))]
    assert found == [None, *([settings.socket] if answers else [])]


def entry(of: tuple[str, str]) -> str:
    name, role = of
    digest = sha256(key(name).encode()).hexdigest()
    return f"""
[[keys]]
name = "{name}"
sha256 = "{digest}"
roles = ["{role}"]
catalogs = ["default"]
"""


def key(name: str) -> str:
    return f"{name}-0123456789abcdefXYZ-{sha256(name.encode()).hexdigest()[:20]}"


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key(name)}"}


def socket_of_a_killed_gateway(path: Path) -> None:
    """Leave a socket's file, as a killed process does."""
    with socket_of_unix(AF_UNIX) as left:
        left.bind(str(path))


async def answers(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200
    except httpx.TransportError:
        return False


def test_all_bad_settings_are_shown_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_HTTP_PORT", "many")
    monkeypatch.setenv("GATEWAY_HTTP_BODY_SECONDS", "0")
    with pytest.raises(SystemExit):
        load(HttpSettings)
    shown = capsys.readouterr().err
    assert "GATEWAY_HTTP_PORT" in shown
    assert "GATEWAY_HTTP_BODY_SECONDS" in shown


def test_production_is_no_plain_text_to_other_hosts() -> None:
    open_to_all = HttpSettings(host="0.0.0.0", gateway_target="gateway:8600")  # noqa: S104
    assert [each.partition(":")[0] for each in open_to_all.unsafe()] == [
        "GATEWAY_HTTP_HOST",
        "GATEWAY_HTTP_GATEWAY_TARGET",
    ]
    assert list(HttpSettings(gateway_target="unix:/run/gateway.sock").unsafe()) == []
