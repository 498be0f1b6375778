"""Rules: every reference names an existing object."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tests.contracts.k8s import K8S, Document
from tests.contracts.policies.cluster import (
    LONG_RUNNING,
    Cluster,
    Rule,
    Workload,
    identity,
    namespace,
    selects,
    title,
    workloads,
)

KINDS = {
    "configMap": "ConfigMap",
    "secret": "Secret",
    "persistentVolumeClaim": "PersistentVolumeClaim",
}
LARGEST = 256 * 1024
Reference = tuple[str, str, frozenset[str]]
"""Kind, name, and the keys that are wanted; none means all that there are."""


@cache
def brought() -> Mapping[str, frozenset[str]]:
    """Return the Secrets that a user creates, with their keys, as the README lists them."""
    rows = re.findall(r"^\| `([\w-]+)` \| (`[^|]+`) \|", (K8S / "README.md").read_text(), re.M)
    return {name: frozenset(re.findall(r"`([^`]+)`", keys)) for name, keys in rows}


def references(workload: Workload) -> Iterator[Reference]:  # noqa: C901 - one loop a kind
    """Yield the ConfigMaps, Secrets and claims that a workload's pods require to start."""
    for volume in workload.pod.get("volumes", ()):
        for kind, source in _sources(volume):
            if not source.get("optional"):
                name = source.get("claimName") or source.get("secretName") or source["name"]
                keys = frozenset(each["key"] for each in source.get("items", ()))
                yield kind, name, keys
    for container in workload.containers:
        for source in container.get("envFrom", ()):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"], frozenset()
        for each in container.get("env", ()):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if wanted := each.get("valueFrom", {}).get(key):
                    yield kind, wanted["name"], frozenset([wanted["key"]])


def _sources(volume: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for source in [volume, *volume.get("projected", {}).get("sources", ())]:
        for key, kind in KINDS.items():
            if key in source:
                yield kind, source[key]


def there(cluster: Cluster, kind: str, where: str, name: str) -> frozenset[str] | None:
    """Return the keys of a ConfigMap or Secret that is created here, by cert-manager or by the
    user; empty for a claim; None if no document has that name."""
    for each in cluster.documents:
        if identity(each) == (kind, where, name):
            return frozenset(each.get("data", {})) | frozenset(each.get("stringData", {}))
        made = (each["kind"], namespace(each), each.get("spec", {}).get("secretName"))
        if kind == "Secret" and made == ("Certificate", where, name):
            return frozenset({"tls.crt", "tls.key", "ca.crt"})
    return brought().get(name) if kind == "Secret" else None


def referred(cluster: Cluster) -> Iterator[str]:
    """Yield ConfigMaps, Secrets, claims and accounts of pods that neither exist nor are in the
    README."""
    for workload in cluster.workloads():
        for kind, name, keys in references(workload):
            held = there(cluster, kind, workload.namespace, name)
            if held is None:
                yield f"{workload}: {kind} {name} is made by nobody"
            elif keys - held:
                yield f"{workload}: {kind} {name} has no {', '.join(sorted(keys - held))}"
        account = workload.pod.get("serviceAccountName")
        wanted = ("ServiceAccount", workload.namespace, account)
        if wanted not in map(identity, cluster.documents):
            yield f"{workload}: ServiceAccount {account} is made by nobody"


def used(cluster: Cluster) -> Iterator[str]:
    """Yield created objects that no document uses; dashboards' ConfigMaps are found by their
    label."""
    named: set[tuple[str, str, str]] = set()
    for workload in cluster.workloads():
        named |= {(kind, workload.namespace, name) for kind, name, _ in _all(workload)}
        named.add(("ServiceAccount", workload.namespace, workload.pod.get("serviceAccountName")))
    for each in cluster.of("ConfigMap", "PersistentVolumeClaim", "ServiceAccount"):
        labels = each["metadata"].get("labels", {})
        custom = any(each["metadata"]["name"] in str(it) for it in cluster.of("Milvus"))
        if identity(each) not in named and "grafana_dashboard" not in labels and not custom:
            yield f"{title(each)}: nobody uses it"


def _all(workload: Workload) -> Iterator[Reference]:
    yield from references(workload)
    for volume in workload.pod.get("volumes", ()):
        for kind, source in _sources(volume):
            if source.get("optional"):
                yield kind, source.get("secretName") or source["name"], frozenset()


def mounts(cluster: Cluster) -> Iterator[str]:
    """Yield volumes that are not mounted, mounts without a volume, and two mounts at one path."""
    for workload in cluster.workloads():
        declared = {each["name"] for each in workload.pod.get("volumes", ())} | workload.claims
        mounted = set()
        for container in workload.containers:
            here = container.get("volumeMounts", ())
            mounted |= {each["name"] for each in here}
            for place, times in Counter(each["mountPath"] for each in here).items():
                if times > 1:
                    yield f"{workload}: two volumes at {place}"
        for name in sorted(declared ^ mounted):
            yield f"{workload}: volume {name} is {'not mounted' if name in declared else 'missing'}"


def selectors(cluster: Cluster) -> Iterator[str]:
    """Yield selectors of workloads that match other pods, and other selectors that match no pod."""
    made = cluster.workloads()
    for workload in cluster.workloads(*LONG_RUNNING):
        wanted = workload.document["spec"]["selector"]
        found = [each for each in made if _same(each, workload) and selects(wanted, each.labels)]
        if found != [workload]:
            yield f"{workload}: its selector finds {', '.join(map(str, found)) or 'no pod'}"
        for spread in workload.pod.get("topologySpreadConstraints", ()):
            if not selects(spread["labelSelector"], workload.labels):
                yield f"{workload}: it is spread away from others than its own pods"
    for each in cluster.of("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        if each["spec"].get("podSelector") != {} and not _pods(each, made):
            yield f"{title(each)}: its selector finds no pod"


def _same(one: Workload, other: Workload) -> bool:
    return one.namespace == other.namespace


def _pods(document: Document, made: list[Workload]) -> list[Workload]:
    """Return the workloads whose pods a Service, budget, policy or monitor selects."""
    spec = document["spec"]
    selector = spec["podSelector"] if "podSelector" in spec else spec.get("selector")
    if document["kind"] == "Service":
        selector = {"matchLabels": selector}
    return [
        each
        for each in made
        if each.namespace == namespace(document) and selects(selector, each.labels)
    ]


def service_ports(cluster: Cluster) -> Iterator[str]:
    """Yield ports of a Service that a pod behind it lacks, and ports of a monitor that all pods
    lack."""
    made = cluster.workloads()
    for service in cluster.of("Service"):
        for port in service["spec"]["ports"]:
            wanted = port.get("targetPort", port["port"])
            for each in _pods(service, made):
                number = each.port(wanted)
                if number is None:
                    yield f"{title(service)}: {each} has no port {wanted}"
                elif service["spec"].get("clusterIP") == "None" and number != port["port"]:
                    yield f"{title(service)}: headless, so {port['port']} has to be {number}"
        if len(_pods(service, workloads(cluster.documents))) > 1:
            yield f"{title(service)}: finds pods of several workloads"
    for monitor in cluster.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            wanted = endpoint.get("port") or endpoint["portNumber"]
            if not any(each.port(wanted) for each in _pods(monitor, made)):
                yield f"{title(monitor)}: no pod has the port {wanted}"


def once(cluster: Cluster) -> Iterator[str]:
    """Yield documents that occur twice, or whose namespace does not restrict its pods."""
    for (kind, where, name), times in Counter(map(identity, cluster.documents)).items():
        if times > 1:
            yield f"{kind} {name} is there {times} times"
        if kind not in ("Namespace", "PersistentVolume") and not where:
            yield f"{kind} {name} is in no namespace"


def applicable(cluster: Cluster) -> Iterator[str]:
    """Yield documents that exceed the annotation in which `kubectl apply` keeps them."""
    for each in cluster.documents:
        if (size := len(json.dumps(each))) > LARGEST:
            yield f"{title(each)}: {size} bytes are too many for kubectl apply"


RULES: list[Rule] = [referred, used, mounts, selectors, service_ports, once, applicable]
