"""Every port on which a process of the suite listens: a new one fails here until it is listed.

Those that answer callers inherit what the gateway promises: its mode, certificates, the hosts and
origins of requests, types of bodies and budgets by caller.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.server.mcpserver import MCPServer
from starlette.responses import Response
from typer import BadParameter

from gateway.http.settings import HttpSettings
from gateway.settings import GatewaySettings
from local_suite.programs import sightline
from sightline_agents import serving as agents
from sightline_agents.settings import Listening
from sightline_console.settings import Listening as ConsoleListening
from tests.contracts.k8s import OVERLAYS, Document, containers, of, overlay, with_components
from tests.contracts.test_compose import given, load
from tests.fakes import local_gateway

CALLERS = {"grpc", "admin", "http"}
"""Ports that answer callers of the suite."""
PEERS = {"embedder", "retriever", "ranker", "metrics", "sql", "health", "otlp", "otlp-http"}
"""Ports that answer services of the suite, or Prometheus."""

LISTENERS = {
    "gateway": {"grpc", "admin", "metrics"},
    "http": {"http"},
    "all": {"grpc", "admin", "http", "embedder", "retriever", "ranker", "metrics"},
    "agents": {"http", "metrics"},
    "console": {"http"},
    "embedder": {"grpc", "metrics"},
    "retriever": {"grpc", "metrics"},
    "retriever-worker": {"metrics"},
    "ranker": {"grpc", "metrics"},
    "ranker-worker": {"metrics"},
    "vision": {"grpc", "metrics"},
    "vision-worker": {"metrics"},
    "triton": {"grpc", "http", "metrics"},
    "milvus": {"grpc", "metrics"},
    "postgres": {"sql"},
    "otel-collector": {"otlp", "otlp-http", "health", "metrics"},
}
"""Names of the ports of each container."""
COMBINED = {
    "http": (("http", "single-node-claims"), ("base",)),
    "production with http": (("http", "http/tls"), ("overlays/prod",)),
    "production with agents": (("agents", "agents/tls"), ("overlays/prod",)),
    "production with the console": (("console", "console/tls"), ("overlays/prod",)),
    "one process": (("one-process", "single-node-claims"), ("base",)),
    "vision": (("vision", "vision/claims"), ("base",)),
}
"""Components and overlays that are combined, beside the overlays themselves."""


def installations() -> Iterator[tuple[str, list[Document]]]:
    """Yield each installation on Kubernetes."""
    for name in OVERLAYS:
        yield name, overlay(name)
    for name, (components, bases) in COMBINED.items():
        yield name, with_components(*components, bases=bases)


def serving(documents: list[Document]) -> Iterator[tuple[Document, Document]]:
    """Yield each container that stays, with its pod."""
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        for each in of(documents, kind).values():
            spec = each["spec"]["template"]["spec"]
            for container in spec["containers"]:
                yield container, spec


def environment(documents: list[Document], container: Document) -> dict[str, str]:
    """Return the environment of a container, as far as the manifests know it."""
    maps = of(documents, "ConfigMap")
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]["data"]
    return found | {each["name"]: each.get("value", "") for each in container.get("env", [])}


@pytest.mark.when("deploy")
def test_every_port_on_kubernetes_is_listed() -> None:
    for name, documents in installations():
        for container, _ in serving(documents):
            ports = {each["name"] for each in container.get("ports", [])}
            assert ports <= LISTENERS.get(container["name"], set()), (name, container["name"])
            assert ports <= CALLERS | PEERS


def test_what_answers_http_has_mode_certificates_and_hosts_of_the_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faces = 0
    for name, documents in installations():
        for container, pod in serving(documents):
            names = {each["name"] for each in container.get("ports", [])}
            if container["name"] == "triton" or "http" not in names:
                continue
            if container["name"] in ("agents", "console"):
                variable = f"SIGHTLINE_{container['name'].upper()}_NAMES"
                assert environment(documents, container)[variable]
                continue
            faces += 1
            with monkeypatch.context() as patched:
                for variable, value in environment(documents, container).items():
                    patched.setenv(variable, value)
                patched.setenv("GATEWAY_HTTP_HOST", "0.0.0.0")  # noqa: S104 - as in the image
                face, own = HttpSettings(), GatewaySettings()
            assert face.mode == own.mode, name
            assert face.tls_folder == own.tls_folder
            assert face.tls_callers_ca_file == own.tls_callers_ca_file
            assert "gateway-http.sightline" in face.hosts
            if face.mode == "production":
                assert list(face.unsafe()) == []
                mounts = {each["mountPath"] for each in container["volumeMounts"]}
                assert str(face.tls_folder) in mounts
            checked = [each for each in containers(pod) if each.get("args") == ["--check"]]
            settings = environment(documents, container)
            assert any(
                settings.items() <= environment(documents, each).items() for each in checked
            ), "its settings are checked before it starts"
    assert faces >= 3


@pytest.mark.parametrize("in_one_process", [False, True])
def test_a_face_without_settings_of_its_own_is_as_safe_as_the_gateway(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_one_process: bool
) -> None:
    monkeypatch.setenv("GATEWAY_MODE", "production")
    monkeypatch.setenv("GATEWAY_HTTP_HOST", "0.0.0.0")  # noqa: S104
    target = "local:gateway" if in_one_process else "unix:/run/gateway.sock"
    monkeypatch.setenv("GATEWAY_HTTP_GATEWAY_TARGET", target)
    (found,) = HttpSettings().unsafe()
    assert found.startswith("GATEWAY_HTTP_HOST: 0.0.0.0 is served in plain text")
    monkeypatch.setenv("GATEWAY_TLS_FOLDER", str(tmp_path))
    monkeypatch.setenv("GATEWAY_TLS_CALLERS_CA_FILE", str(tmp_path / "ca.crt"))
    face = HttpSettings()
    assert (face.mode, list(face.unsafe())) == ("production", [])
    assert (face.tls_folder, face.tls_callers_ca_file) == (tmp_path, tmp_path / "ca.crt")
    monkeypatch.setenv("GATEWAY_HTTP_TLS_FOLDER", "")
    monkeypatch.setenv("GATEWAY_HTTP_TLS_CALLERS_CA_FILE", "")
    assert HttpSettings().tls_folder is None, "set for the face alone"


def test_the_containers_of_compose_that_others_reach_are_listed() -> None:
    services = load("compose.yaml")["services"]
    open_to_others = {name for name, each in services.items() if "ports" in each}
    assert open_to_others == {"gateway", "gateway-http"}
    inherited = set(HttpSettings.INHERITED.values())
    gateway, face = given(services["gateway"]), given(services["gateway-http"])
    assert {name: value for name, value in gateway.items() if name in inherited} == {
        name: value for name, value in face.items() if name in inherited
    }


@pytest.mark.parametrize("target", ["apart", "all"])
def test_the_programs_of_make_up_listen_on_this_machine_alone(target: str) -> None:
    made = {
        each.name: each for each in sightline(Path("/srv/data"), 9000, target=target, vision=True)
    }
    faces = {"apart": {"gateway", "gateway-http"}, "all": {"all"}}[target]
    assert {name for name, each in made.items() if {"http"} & each.ports.keys()} <= faces | {
        "triton"
    }
    for each in made.values():
        assert not any("0.0.0.0" in str(value) for value in each.environment.values())  # noqa: S104


REQUESTS = [
    ({"host": "localhost:1"}, True),
    ({"host": "127.0.0.1:1"}, True),
    ({"host": "[::1]:1"}, True),
    ({"host": "named.example"}, True),
    ({"host": "named.example:1"}, True),
    ({"host": "evil.example"}, False),
    ({"host": "evil.example:1"}, False),
    ({"host": "localhost.evil.example"}, False),
    ({"host": "["}, False),
    ({"host": "localhost:1", "origin": "https://evil.example"}, False),
    ({"host": "localhost:1", "origin": "null"}, False),
    ({"host": "localhost:1", "sec-fetch-site": "cross-site"}, False),
    ({"host": "localhost:1", "sec-fetch-site": "same-origin"}, True),
    ({"host": "localhost:1", "content-type": ""}, False),
    ({"host": "localhost:1", "content-type": "text/plain"}, False),
]
"""Headers of a POST, and whether it is read."""


async def _admit(_: str | None) -> None:
    """Admit everyone."""


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await Response("{}")(scope, receive, send)


@pytest.fixture(params=["gateway", "agents"])
async def web(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A POST to the listener for HTTP of each process that has one."""
    if request.param == "gateway":
        app, _ = local_gateway.face(hosts=("named.example",))
        path = "/v1/catalogs/default:recommend"
    else:
        app = agents.Admission(_answer, agents.known_hosts(None, ["named.example"]), _admit)
        path = "/mcp"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        yield partial(client.post, path)


@pytest.mark.parametrize(("headers", "reads"), REQUESTS)
async def test_listeners_for_http_answer_the_same_hosts_pages_and_types(
    web: Any, headers: dict[str, str], reads: bool
) -> None:
    sent = {"content-type": "application/json"} | headers
    sent = {name: value for name, value in sent.items() if value}
    answer = await web(content=b"{}", headers=sent)
    assert (answer.status_code == 200) is reads, answer.text


@pytest.mark.parametrize("listening", [Listening, ConsoleListening])
def test_other_machines_reach_a_command_by_known_names_alone(
    listening: type[Listening | ConsoleListening],
) -> None:
    with pytest.raises(BadParameter):
        listening(host="0.0.0.0").check()  # noqa: S104
    with pytest.raises(BadParameter):
        listening(name=["a/b"]).check()


def test_the_server_for_agents_is_the_one_of_its_package() -> None:
    made = agents.application(MCPServer("x"), None, admit=_admit)
    assert agents.Admission in [each.cls for each in made.user_middleware]
