"""Pods on Kubernetes: their restrictions, probes and shutdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from servicekit import liveness
from servicekit.rpc import hosting
from tests.contracts.k8s import (
    ROOT,
    SERVED,
    TOGETHER,
    WHOLE,
    WORKERS,
    WORKLOADS,
    Document,
    main,
    of,
    overlay,
    pod,
    running,
    settings_of,
)
from tests.contracts.settings import loaded


@pytest.mark.parametrize("name", WORKLOADS)
def test_callers_see_every_pod_and_not_a_virtual_address(base: list[Document], name: str) -> None:
    service = of(base, "Service")[name]["spec"]
    assert service["clusterIP"] == "None"
    offered = {port["name"]: port["containerPort"] for port in main(base, name)["ports"]}
    for port in service["ports"]:
        assert offered[port["targetPort"]] == port["port"]
    assert ("grpc" in [port["name"] for port in service["ports"]]) == (name not in WORKERS)


def test_what_operators_do_has_a_service_of_its_own(base: list[Document]) -> None:
    service = of(base, "Service")["gateway-admin"]["spec"]
    assert service["selector"] == of(base, "Service")["gateway"]["spec"]["selector"]
    (port,) = service["ports"]
    assert settings_of(base, "gateway")["GATEWAY_ADMIN_PORT"] == str(port["port"])
    offered = {each["name"]: each["containerPort"] for each in main(base, "gateway")["ports"]}
    assert offered[port["targetPort"]] == port["port"]


@pytest.mark.parametrize("name", SERVED)
def test_alive_is_the_process_and_ready_is_the_service(base: list[Document], name: str) -> None:
    port, service = SERVED[name]
    container = main(base, name)
    assert container["livenessProbe"]["grpc"] == {"port": port}
    assert container["readinessProbe"]["grpc"] == {"port": port, "service": service}
    assert container["startupProbe"]["grpc"] == {"port": port, "service": service}
    proto = ROOT / "protos" / Path(*service.split(".")[:-1])
    named = f"service {service.rsplit('.', 1)[-1]} {{"
    assert any(named in file.read_text() for file in proto.glob("*.proto"))


def test_one_process_is_alive_as_such_and_ready_when_all_of_its_services_are() -> None:
    container = main(overlay("small"), TOGETHER)
    assert container["livenessProbe"]["grpc"] == {"port": 8600}
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["grpc"] == {"port": 8600, "service": hosting.EVERY}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_probed_where_it_serves_metrics(base: list[Document], name: str) -> None:
    container = main(base, name)
    for probe, path in (
        ("startup", "/metrics"),
        ("readiness", "/metrics"),
        ("liveness", liveness.PATH),
    ):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "metrics"}
    prefix = name.split("-", maxsplit=1)[0].upper()
    (port,) = container["ports"]
    environment = settings_of(base, name)
    assert environment[f"{prefix}_WORKER_METRICS_PORT"] == str(port["containerPort"])
    assert container.get("command", ["python", "-m", WORKERS[name]])[-1] == WORKERS[name]


@pytest.mark.parametrize(("name", "serves"), [("small", "cpu"), ("prod", "gpu")])
def test_triton_is_probed_and_has_its_models_and_where_there_is_one_a_gpu(
    name: str, serves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = overlay(name)
    container = main(documents, "triton")
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    gpus = container["resources"]["limits"].get("nvidia.com/gpu")
    assert gpus == (1 if serves == "gpu" else None)
    assert bool(pod(documents, "triton").get("tolerations")) == (serves == "gpu")
    repository = {mount["name"]: mount for mount in container["volumeMounts"]}["repository"]
    assert repository["readOnly"] is True
    assert f"--model-repository={repository['mountPath']}" in container["args"]
    (models,) = pod(documents, "triton")["initContainers"]
    assert models["command"][-1].rstrip("/") == repository["mountPath"]
    chosen = [each for each in container["args"] if each.startswith("--model-config-name=")]
    assert chosen == [f"--model-config-name={serves}"]
    configs = [*ROOT.glob(f"deploy/triton/models/*/configs/{serves}.pbtxt")]
    most = max(int(re.findall(r"max_batch_size: (\d+)", each.read_text())[0]) for each in configs)
    asked = loaded("embedder", settings_of(documents, "embedder"), monkeypatch)
    assert asked.batch <= most, "more photos than the model takes at once"  # type: ignore[attr-defined]


def least(documents: list[Document], name: str) -> int:
    """Return the minimum number of pods of a workload, by itself or its scaler."""
    scaled = of(documents, "ScaledObject").get(name)
    spec = of(documents, "Deployment")[running(documents, name)]["spec"]
    return int(scaled["spec"]["minReplicaCount"] if scaled else spec["replicas"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_drained_node_takes_one_pod_of_a_workload_at_most(
    base: list[Document], name: str
) -> None:
    """Check the budgets: minAvailable would never let a worker's only pod be moved."""
    assert of(base, "PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1
    asked = {each: least(overlay(each), name) for each in WHOLE}
    assert asked["small"] == asked["medium"] == 1
    assert asked["staging"] == (2 if name in SERVED else 1)
    assert asked["prod"] >= asked["staging"]
    assert asked["prod"] >= 2 or name == "ranker-worker", "a lost node must not end a service"
    spreads = pod(base, name)["topologySpreadConstraints"]
    assert "kubernetes.io/hostname" in [spread["topologyKey"] for spread in spreads]
