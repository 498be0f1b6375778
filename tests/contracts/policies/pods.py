"""Rules for every pod, of our images and of others."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from tests.contracts.k8s import ROOT
from tests.contracts.policies import links
from tests.contracts.policies.cluster import LONG_RUNNING, Cluster, Rule

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WHOLE = re.compile(r"v?\d+\.\d+(\.\d+)*(-[\w.-]+)?")
"""A tag that names a release; `latest`, `16` or `stable` are something else next month."""
WRITERS = {"milvus"}
"""Images of others that write beside their own files."""
SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|DATABASE_URL|_KEY$")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def ours(image: str) -> bool:
    """Return whether it is one of the images of `make images`, in any registry."""
    return re.search(r"(^|/)sightline/[^/]+$", image) is not None


def images(cluster: Cluster) -> Iterator[str]:
    """Yield images without a digest or a fixed tag; our images must have this version's tag."""
    for workload in cluster.workloads():
        for container in workload.containers:
            reference, _, digest = container["image"].partition("@")
            name, _, tag = reference.rpartition(":")
            if digest and not DIGEST.fullmatch(digest):
                yield f"{workload}: {container['image']} has no digest after its @"
            if ours(reference) and tag != VERSION:
                yield f"{workload}: {container['image']} is not of {VERSION}"
            elif not digest and (not name or not WHOLE.fullmatch(tag)):
                yield f"{workload}: {container['image']} names no release"


def resources(cluster: Cluster) -> Iterator[str]:
    """Yield containers without resource requests, which would overfill nodes, or without a memory
    limit."""
    for workload in cluster.workloads():
        for container in workload.containers:
            held = container.get("resources", {})
            for each in {"cpu", "memory"} - set(held.get("requests", ())):
                yield f"{workload}: {container['name']} requests no {each}"
            if "memory" not in held.get("limits", {}):
                yield f"{workload}: {container['name']} has no limit of memory"
            if "cpu" in held.get("limits", {}):
                yield f"{workload}: {container['name']}: its limit of CPU only throttles it"


def probes(cluster: Cluster) -> Iterator[str]:
    """Yield containers without a probe, or with one on a port that they lack."""
    for workload in cluster.workloads(*LONG_RUNNING):
        for container in workload.pod["containers"]:
            ports = {each for it in container.get("ports", ()) for each in it.values()}
            given = cluster.environment(container).items()
            ports |= {int(value) for key, value in given if key.endswith("_PROBE_PORT")}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if probe is None:
                    yield f"{workload}: {container['name']} has no {kind}"
                    continue
                asked = probe.get("grpc") or probe.get("httpGet") or probe.get("tcpSocket")
                if asked and asked["port"] not in ports:
                    yield f"{workload}: {kind} asks port {asked['port']}, which is not there"


def restricted(cluster: Cluster) -> Iterator[str]:
    """Yield violations of the pod security standard `restricted`, and writable root file
    systems."""
    for workload in cluster.workloads():
        context = workload.pod.get("securityContext", {})
        for key in {"hostNetwork", "hostPID", "hostIPC"} & set(workload.pod):
            yield f"{workload}: {key}"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{workload}: no seccomp profile"
        for container in workload.containers:
            own = container.get("securityContext", {})
            both = {**context, **own}
            if both.get("runAsNonRoot") is not True or both.get("runAsUser", 0) == 0:
                yield f"{workload}: {container['name']} may be root"
            writes = container["name"] in WRITERS
            if own.get("readOnlyRootFilesystem") is not True and not writes:
                yield f"{workload}: {container['name']} may write its root file system"
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{workload}: {container['name']} may get more privileges"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{workload}: {container['name']} has capabilities"


def volumes(cluster: Cluster) -> Iterator[str]:
    """Yield volumes of kinds that may affect the node, or without a size limit in memory or on its
    disk."""
    kinds = {*links.KINDS, "emptyDir", "ephemeral", "projected"}
    for workload in cluster.workloads():
        for volume in workload.pod.get("volumes", ()):
            for kind in set(volume) - kinds - {"name"}:
                yield f"{workload}: volume {volume['name']} is a {kind}"
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{workload}: volume {volume['name']} has no end"


def no_cluster_access(cluster: Cluster) -> Iterator[str]:
    """Yield pods with a token for Kubernetes, and a Service `gateway` that would set
    GATEWAY_PORT."""
    for workload in cluster.workloads():
        for key in ("automountServiceAccountToken", "enableServiceLinks"):
            if workload.pod.get(key) is not False:
                yield f"{workload}: {key} is not false"
    for role in cluster.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        yield f"{role['kind']} {role['metadata']['name']}: nothing here talks to Kubernetes"


def secrets(cluster: Cluster) -> Iterator[str]:
    """Yield secrets in environments, which other processes can read: each must be a file."""
    for workload in cluster.workloads():
        for container in workload.containers:
            for key in cluster.environment(container):
                if SECRET.search(key) and not key.endswith("_FILE"):
                    yield f"{workload}: {key} is a secret in an environment"
            held = [*container.get("env", ()), *container.get("envFrom", ())]
            if any(each in str(held) for each in ("secretKeyRef", "secretRef")):
                yield f"{workload}: a Secret is in the environment of {container['name']}"


def jobs(cluster: Cluster) -> Iterator[str]:
    """Yield jobs that may not end, are not deleted, or may run twice at once."""
    for workload in cluster.workloads("Job", "CronJob"):
        spec = workload.document["spec"]
        if workload.kind == "CronJob":
            if spec.get("concurrencyPolicy") != "Forbid":
                yield f"{workload} may run beside itself"
            spec = spec["jobTemplate"]["spec"]
        for key in ("backoffLimit", "ttlSecondsAfterFinished"):
            if key not in spec:
                yield f"{workload} has no {key}"


RULES: list[Rule] = [
    images,
    resources,
    probes,
    restricted,
    volumes,
    no_cluster_access,
    secrets,
    jobs,
]
