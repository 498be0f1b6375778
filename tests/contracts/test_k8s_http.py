"""The component http: a container beside the gateway's that calls it by a socket."""

from typing import Any

import pytest

from gateway.http.settings import HttpSettings
from tests.contracts.k8s import Document, of, pod, with_components
from tests.contracts.settings import loaded


@pytest.fixture(scope="module")
def made() -> list[Document]:
    return with_components("http", "single-node-claims")


def containers(made: list[Document]) -> dict[str, Any]:
    return {each["name"]: each for each in pod(made, "gateway")["containers"]}


def test_the_container_calls_the_gateway_by_its_socket(
    made: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    http = containers(made)["http"]
    environment = {each["name"]: each["value"] for each in http["env"]}
    read = loaded("gateway-http", environment, monkeypatch)
    assert isinstance(read, HttpSettings)
    (config,) = (
        each for name, each in of(made, "ConfigMap").items() if name.startswith("gateway-")
    )
    assert read.gateway_target == f"unix:{config['data']['GATEWAY_SOCKET']}"
    assert list(read.unsafe()) == []
    assert [each["containerPort"] for each in http["ports"]] == [read.port]


def test_both_containers_have_the_folder_of_the_socket(made: list[Document]) -> None:
    for container in containers(made).values():
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert mounts["socket"] == "/run/sightline"


def test_callers_reach_it_by_its_service(made: list[Document]) -> None:
    (port,) = of(made, "Service")["gateway-http"]["spec"]["ports"]
    assert port["targetPort"] == "http"
    rule = of(made, "NetworkPolicy")["gateway"]["spec"]["ingress"][0]
    assert [each["port"] for each in rule["ports"]] == [8600, port["port"]]
