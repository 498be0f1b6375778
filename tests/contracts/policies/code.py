"""Rules: manifests and code agree on settings, ports and the time of a shutdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.http.settings import HttpSettings
from ranker.wiring.server import CLOSE_SECONDS
from servicekit.config import LOCAL
from tests.contracts.k8s import SERVED, SERVERS, TOGETHER, Document
from tests.contracts.policies.cluster import LONG_RUNNING, Cluster, Rule, Workload
from tests.contracts.settings import WITH_COMMANDS, loaded, variables

ADDRESS = re.compile(r"(?:\w+://+)?([a-z][\w.-]*):(\d+)")
LIBRARIES = ("AWS_",)
"""Variables that others read: s3fs, where a store is of that kind."""
UNREAD = {("retriever", "embedder_target"), ("ranker", "export_store")}
"""Settings of a class that server and worker share, which the server does not use."""
WORKER_END = 10
"""Seconds: a worker leaves what it does to the next one."""


def image_of(container: Document) -> str:
    """Return the name of a container's image, without registry and tag."""
    return re.sub(r"[:@].*", "", container["image"].rsplit("/", 1)[-1])


def process(container: Document) -> str | None:
    """Return which of WITH_COMMANDS a container runs; None if it runs none."""
    name = image_of(container)
    modules = {**dict(zip(SERVERS, SERVERS, strict=True)), "ranker-train": "ranker.worker"}
    command = container.get("command") or ["python", "-m", modules.get(name, "")]
    if command[:2] != ["python", "-m"] or not command[2]:
        return None
    package, _, part = command[2].partition(".")
    if f"{package}-{part}" in WITH_COMMANDS:
        return f"{package}-{part}"
    # A training and the retriever's backups read what the worker reads.
    return f"{package}-worker" if part in ("train", "backups") else package


def processes(cluster: Cluster) -> Iterator[tuple[Workload, Document, str, dict[str, str]]]:
    """Yield each container that runs one of our processes: workload, container, process,
    environment; one with several services once for each. `checked` compares init containers with
    them."""
    for workload in cluster.workloads():
        for container in workload.pod["containers"]:
            if image_of(container) == TOGETHER:
                for name, environment in inside(cluster.environment(container)).items():
                    yield workload, container, name, environment
            elif (name := process(container)) in WITH_COMMANDS:
                yield workload, container, name, cluster.environment(container)


def inside(environment: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the services that run in one process with this environment, each with its own part of
    it, as sightline_all completes it; and the HTTP face. The gateway has also what belongs to
    none."""
    names = [name for name in SERVED if f"GATEWAY_{name.upper()}_TARGET" not in environment]
    parts: dict[str, dict[str, str]] = {name: {} for name in names}
    for key, value in environment.items():
        owner = key.partition("_")[0].lower()
        parts[owner if owner in names else names[0]][key] = value
    for name, part in parts.items():
        targets = {f"{name}_{other}_TARGET".upper(): f"{LOCAL}{other}" for other in names}
        part |= {key: value for key, value in targets.items() if key in variables(name)}
        if name != names[0]:
            part[f"{name}_METRICS_PORT".upper()] = "0"
    return parts | {"gateway-http": {"GATEWAY_HTTP_GATEWAY_TARGET": f"{LOCAL}gateway"}}


def settings_of(name: str, environment: dict[str, str]) -> Any:
    """Return the settings as the process reads them, or the error; its image sets the host."""
    host = {f"{name.upper()}_HOST": "0.0.0.0"} if name in SERVERS else {}  # noqa: S104
    with pytest.MonkeyPatch.context() as patch:
        try:
            return loaded(name, {**host, **environment}, patch)
        except ValueError as error:
            return str(error)


def serving(cluster: Cluster) -> Iterator[tuple[Workload, Document, str, Any]]:
    """Yield each permanent container with its settings; `accepted` reports unreadable ones."""
    for workload, container, name, environment in processes(cluster):
        settings = settings_of(name, environment)
        if workload.kind in LONG_RUNNING and not isinstance(settings, str):
            yield workload, container, name, settings


def known(cluster: Cluster) -> Iterator[str]:
    """Yield variables that are no setting of their process: it would ignore a misspelt one
    silently."""
    for workload, _, name, environment in processes(cluster):
        # The gateway and its HTTP face read the same settings: the face inherits from them.
        face = {"gateway": "gateway-http", "gateway-http": "gateway"}.get(name, name)
        for key in sorted(set(environment) - variables(name) - variables(face)):
            if not key.startswith(LIBRARIES):
                yield f"{workload}: {key} is no setting of {name}"


def accepted(cluster: Cluster) -> Iterator[str]:
    """Yield processes that reject their settings, or find them unsafe in production."""
    for workload, _, name, environment in processes(cluster):
        if isinstance(error := settings_of(name, environment), str):
            yield f"{workload}: {error}"
    for workload, _, _, settings in serving(cluster):
        if settings.mode == "production":
            yield from (f"{workload}: {each}" for each in settings.unsafe())


def given(cluster: Cluster) -> Iterator[str]:
    """Yield unset settings whose default is an address or a folder of one machine."""
    for workload, _, name, environment in processes(cluster):
        prefix = WITH_COMMANDS[name].model_config["env_prefix"]
        for key, field in WITH_COMMANDS[name].model_fields.items():
            default = field.default
            secret = getattr(default, "get_secret_value", lambda default=default: default)()
            local = re.search(r"127\.0\.0\.1:|\.data/", str(secret))
            names = {f"{prefix}{key}".upper(), f"{prefix}{key}_file".upper()}
            read = workload.kind in LONG_RUNNING and (name, key) not in UNREAD
            if local and read and not names & set(environment):
                yield f"{workload}: {min(names)} is not set, and would be {secret}"


def files(cluster: Cluster) -> Iterator[str]:
    """Yield files and folders of settings that are not on a volume."""
    for workload, container, name, environment in processes(cluster):
        places = [each["mountPath"] for each in container.get("volumeMounts", ())]
        goes_on = workload.kind in LONG_RUNNING
        for key, value in environment.items():
            if name == "gateway-http" and key not in variables(name):
                continue  # a file of the gateway alone
            read = key.endswith(("_FILE", "_FOLDER"))
            held = any(f"{value}/".startswith(f"{place}/") for place in places)
            if value.startswith("/") and (read or goes_on) and not held:
                yield f"{workload}: {key}={value} is on no volume"


def checked(cluster: Cluster) -> Iterator[str]:
    """Yield pods in which no init container checks the settings of a process with the same command,
    image, environment and files."""
    for workload, container, _, _ in processes(cluster):
        if workload.kind not in LONG_RUNNING:
            continue
        checks = (
            each
            for each in workload.pod.get("initContainers", ())
            if each.get("args") == ["--check"] and each.get("command") == container.get("command")
        )
        if not (check := next(checks, {})):
            yield f"{workload}: no init container checks the settings of {container['name']}"
            continue
        for key in ("image", "env", "envFrom", "volumeMounts"):
            if check.get(key) != container.get(key):
                yield f"{workload}: {key} of the check and of {container['name']} differ"


def ports(cluster: Cluster) -> Iterator[str]:
    """Yield differences between a container's ports and those that its processes open."""
    opened: dict[str, dict[str, int]] = {}
    for workload, container, name, settings in serving(cluster):
        opens = opened.setdefault(str(workload), {})
        if name not in SERVERS:
            opens |= _of_no_service(settings)
        elif image_of(container) == TOGETHER and name != "gateway":
            opens |= {name: settings.port}
        else:
            opens |= {"grpc": settings.port, "metrics": settings.metrics_port}
            if getattr(settings, "admin_port", 0):
                opens |= {"admin": settings.admin_port}
            asked = settings.probe_port or settings.port
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                if container.get(kind, {}).get("grpc", {}).get("port") != asked:
                    yield f"{workload}: {kind} does not ask {asked}"
    for workload in cluster.workloads():
        has = {each["name"]: each["containerPort"] for each in workload.ports()}
        if str(workload) in opened and has != opened[str(workload)]:
            yield f"{workload}: has ports {has}, and opens {opened[str(workload)]}"


def _of_no_service(settings: Any) -> dict[str, int]:
    """Return the ports that the HTTP face or a worker opens."""
    if isinstance(settings, HttpSettings):
        return {"http": settings.port}
    return {"metrics": settings.worker_metrics_port}


def targets(cluster: Cluster) -> Iterator[str]:
    """Yield addresses without a namespace that are no Service of this one, or whose port it
    lacks."""
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
    """Yield pods whose grace period is less than the shutdown of their processes plus 5 s; services
    in one process end one after another."""
    before: Counter[tuple[str, str]] = Counter()
    for workload, container, name, settings in serving(cluster):
        needed = float(WORKER_END)
        if isinstance(settings, HttpSettings):
            needed = settings.drain_seconds
        elif name in SERVERS:
            # The gateway hands over its answers' records for as long again; the ranker stores them.
            further = {"gateway": settings.drain_seconds, "ranker": CLOSE_SECONDS}
            needed = settings.drain_seconds + further.get(name, 0.0)
        called = isinstance(settings, HttpSettings) or name in SERVERS
        own = str(workload), container["name"]
        before[own] += needed
        yield from _ends(workload, container, before[own], called)
    for workload in cluster.workloads(*LONG_RUNNING):
        for container in workload.containers:
            for each in container.get("args", ()):
                if each.startswith("--exit-timeout-secs="):
                    yield from _ends(workload, container, float(each.partition("=")[2]), True)


def _ends(workload: Workload, container: Document, drain: float, called: bool) -> Iterator[str]:
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if called and not before:
        yield f"{workload}: callers would meet a server that is gone"
    given = workload.pod.get("terminationGracePeriodSeconds", 30)
    if given < before + drain + 5:
        yield f"{workload}: needs {before + drain} s to end, and is killed after {given}"


RULES: list[Rule] = [known, accepted, given, files, checked, ports, targets, ends]
