"""The pods of the Kubernetes base: what restricts them, how they are probed and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from ranker.__main__ import CLOSE_SECONDS
from servicekit import heart
from tests.contracts.k8s import (
    PODS,
    ROOT,
    SERVED,
    WORKERS,
    WORKLOADS,
    Document,
    containers,
    main,
    of,
    pod,
    settings_of,
)


@pytest.mark.parametrize("name", PODS)
def test_pods_are_restricted(base: list[Document], name: str) -> None:
    spec = pod(base, name)
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "a Service gateway would set GATEWAY_PORT=tcp://…"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in containers(spec):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    for volume in spec["volumes"]:
        kinds = {"emptyDir", "persistentVolumeClaim", "projected", "secret"}
        assert kinds & set(volume), volume
        assert volume.get("emptyDir", {"sizeLimit": ""}).keys() >= {"sizeLimit"}, volume


@pytest.mark.parametrize("name", PODS)
def test_no_pod_talks_to_kubernetes(base: list[Document], name: str) -> None:
    account = of(base, "ServiceAccount")[name]
    assert account["automountServiceAccountToken"] is False
    assert pod(base, name)["serviceAccountName"] == name
    assert not [each for each in base if "Role" in each["kind"]]


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


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_probed_where_it_serves_metrics(base: list[Document], name: str) -> None:
    container = main(base, name)
    for probe, path in (
        ("startup", "/metrics"),
        ("readiness", "/metrics"),
        ("liveness", heart.PATH),
    ):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "metrics"}
    prefix = name.split("-", maxsplit=1)[0].upper()
    (port,) = container["ports"]
    environment = settings_of(base, name)
    assert environment[f"{prefix}_WORKER_METRICS_PORT"] == str(port["containerPort"])
    assert container.get("command", ["python", "-m", WORKERS[name]])[-1] == WORKERS[name]


def test_triton_is_probed_and_has_a_gpu_and_its_models(base: list[Document]) -> None:
    container = main(base, "triton")
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    repository = {mount["name"]: mount for mount in container["volumeMounts"]}["repository"]
    assert repository["readOnly"] is True
    assert f"--model-repository={repository['mountPath']}" in container["args"]
    (models,) = pod(base, "triton")["initContainers"]
    assert models["command"][-1].rstrip("/") == repository["mountPath"]
    for argument in container["args"]:
        if argument.startswith("--model-config-name="):
            name = argument.split("=")[1]
            assert list(ROOT.glob(f"deploy/triton/models/*/configs/{name}.pbtxt"))


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_time_to_end_what_it_does(base: list[Document], name: str) -> None:
    environment = settings_of(base, name)
    container = main(base, name)
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if name in SERVED:
        assert before > 0, "callers would meet a server that is gone"
        drain = float(environment[f"{name.upper()}_DRAIN_SECONDS"])
        # Then the gateway hands over its records of answers for as long again; the ranker stores.
        needed = before + drain + {"gateway": drain, "ranker": CLOSE_SECONDS}.get(name, 0)
    elif name == "triton":
        (exit_timeout,) = [a for a in container["args"] if a.startswith("--exit-timeout-secs=")]
        needed = before + float(exit_timeout.split("=")[1])
    else:
        needed = 10
    assert pod(base, name)["terminationGracePeriodSeconds"] >= needed + 5


@pytest.mark.parametrize("name", PODS)
def test_resources_are_asked_for_and_memory_is_bounded(base: list[Document], name: str) -> None:
    for container in containers(pod(base, name)):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert "cpu" not in container["resources"]["limits"], (
            "a CPU limit throttles; it protects no one"
        )


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_drained_node_takes_one_pod_of_a_workload_at_most(
    base: list[Document], name: str
) -> None:
    """A budget of minAvailable would never let the only pod of a worker be moved."""
    assert of(base, "PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1
    assert of(base, "Deployment")[name]["spec"]["replicas"] == (2 if name in SERVED else 1)
    spreads = pod(base, name)["topologySpreadConstraints"]
    assert "kubernetes.io/hostname" in [spread["topologyKey"] for spread in spreads]
