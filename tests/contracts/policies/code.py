"""Manifests and code say the same: settings, ports, how long an end takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.k8s import SERVED, Document
from tests.contracts.policies.cluster import LONG_RUNNING, Cluster, Rule, Workload
from tests.contracts.settings import CLASSES, loaded, variables

SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|DATABASE_URL|_KEY$")
ADDRESS = re.compile(r"(?:\w+://+)?([a-z][\w.-]*):(\d+)")
WORKER_END = 10
"""Seconds: a worker leaves what it does to the next one."""


def process(container: Document) -> str | None:
    """Which of CLASSES a container runs, if any."""
    name = re.sub(r"[:@].*", "", container["image"].rsplit("/", 1)[-1])
    modules = {**dict(zip(SERVED, SERVED, strict=True)), "ranker-train": "ranker.worker"}
    command = container.get("command") or ["python", "-m", modules.get(name, "")]
    if command[:2] != ["python", "-m"] or not command[2]:
        return None
    package, _, part = command[2].partition(".")
    return {"worker": f"{package}-worker", "train": f"{package}-worker"}.get(part, package)


def processes(cluster: Cluster) -> Iterator[tuple[Workload, Document, str, dict[str, str]]]:
    """Each container that runs one of our processes: workload, container, process, environment."""
    for workload in cluster.workloads():
        for container in workload.containers:
            if (name := process(container)) in CLASSES:
                yield workload, container, name, cluster.environment(container)


def settings_of(name: str, environment: dict[str, str]) -> Any:
    """As the process reads them; its image sets the host."""
    host = {f"{name.upper()}_HOST": "0.0.0.0"} if name in SERVED else {}  # noqa: S104
    with pytest.MonkeyPatch.context() as patch:
        return loaded(name, {**host, **environment}, patch)


def known(cluster: Cluster) -> Iterator[str]:
    """Each variable is a setting of its process; a typing error would be ignored in silence."""
    for workload, _, name, environment in processes(cluster):
        for key in sorted(set(environment) - variables(name)):
            yield f"{workload}: {key} is no setting of {name}"


def accepted(cluster: Cluster) -> Iterator[str]:
    """Each process starts with its settings, and in production finds nothing unsafe in them."""
    for workload, _, name, environment in processes(cluster):
        try:
            settings = settings_of(name, environment)
        except ValueError as error:
            yield f"{workload}: {error}"
            continue
        serving = workload.kind in LONG_RUNNING
        if settings.mode == "production" and serving:
            yield from (f"{workload}: {each}" for each in settings.unsafe())


def files(cluster: Cluster) -> Iterator[str]:
    """A file or folder of a setting is on a volume; what is secret is on no other way in."""
    for workload, container, _, environment in processes(cluster):
        places = [each["mountPath"] for each in container.get("volumeMounts", ())]
        serving = workload.kind in LONG_RUNNING
        for key, value in environment.items():
            read = key.endswith(("_FILE", "_FOLDER"))
            held = any(f"{value}/".startswith(f"{place}/") for place in places)
            if value.startswith("/") and (read or serving) and not held:
                yield f"{workload}: {key}={value} is on no volume"
            if SECRET.search(key) and not key.endswith("_FILE"):
                yield f"{workload}: {key} is a secret in an environment"
        for each in container.get("env", ()):
            if "secretKeyRef" in each.get("valueFrom", {}):
                yield f"{workload}: {each['name']} is a secret in an environment"
        if any("secretRef" in each for each in container.get("envFrom", ())):
            yield f"{workload}: a Secret is its environment"


def ports(cluster: Cluster) -> Iterator[str]:
    """A container has the ports that its process opens, and no other."""
    for workload, container, name, environment in processes(cluster):
        if workload.kind not in LONG_RUNNING:
            continue
        settings = settings_of(name, environment)
        if name in SERVED:
            opened = {"grpc": settings.port, "metrics": settings.metrics_port}
            if getattr(settings, "admin_port", 0):
                opened["admin"] = settings.admin_port
            asked = getattr(settings, "probe_port", 0) or settings.port
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                if container[kind].get("grpc", {}).get("port") != asked:
                    yield f"{workload}: {kind} does not ask {asked}"
        else:
            opened = {"metrics": settings.worker_metrics_port}
        has = {each["name"]: each["containerPort"] for each in container.get("ports", ())}
        if has != opened:
            yield f"{workload}: has ports {has}, and {name} opens {opened}"


def targets(cluster: Cluster) -> Iterator[str]:
    """An address without a namespace is a Service of this one, and its port is offered there."""
    offered = {
        each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
        for each in cluster.every
        if each["kind"] == "Service"
    }
    for workload, _, _, environment in processes(cluster):
        for key, value in environment.items():
            address = ADDRESS.fullmatch(value)
            if not address or key.endswith("_FILE") or "." in address[1]:
                continue
            if int(address[2]) not in offered.get(address[1], ()):
                yield f"{workload}: {key}={value} is offered by no Service"


def ends(cluster: Cluster) -> Iterator[str]:
    """A pod that ends has time for what is under way, with 5 s to spare."""
    for workload, container, name, environment in processes(cluster):
        if workload.kind not in LONG_RUNNING:
            continue
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
        needed = before.get("seconds", 0)
        if name in SERVED:
            if not needed:
                yield f"{workload}: callers would meet a server that is gone"
            drain = settings_of(name, environment).drain_seconds
            # The gateway hands over its answers' records for as long again.
            needed += drain * (2 if name == "gateway" else 1)
        else:
            needed += WORKER_END
        if (given := workload.pod.get("terminationGracePeriodSeconds", 30)) < needed + 5:
            yield f"{workload}: needs {needed} s to end, and is killed after {given}"


RULES: list[Rule] = [known, accepted, files, ports, targets, ends]
