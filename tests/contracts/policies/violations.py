"""Violations of each policy: a rule, its message, and the change that causes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.k8s import Document, containers, main, of, pod, settings_of
from tests.contracts.policies import code, links, network, pods, scaling
from tests.contracts.policies.cluster import Rule

Change = Callable[[list[Document]], Any]


def deployment(documents: list[Document], name: str = "gateway") -> Any:
    return of(documents, "Deployment")[name]["spec"]


def settings(documents: list[Document], name: str = "gateway") -> dict[str, str]:
    """Return the ConfigMap itself, so that a test can change it."""
    (source,) = main(documents, name)["envFrom"]
    held: dict[str, str] = of(documents, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    assert settings_of(documents, name) == held
    return held


def policy(documents: list[Document], name: str) -> Any:
    return of(documents, "NetworkPolicy")[name]["spec"]


def scaler(documents: list[Document], **changes: Any) -> None:
    deployment(documents).pop("replicas", None)
    wanted = {"scaleTargetRef": {"name": "gateway"}, "minReplicaCount": 2, "maxReplicaCount": 9}
    documents.append(
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": f"s{len(documents)}", "namespace": "sightline"},
            "spec": wanted | changes,
        }
    )


def monitor(port: str) -> Document:
    spec = {"selector": {}, "podMetricsEndpoints": [{"port": port}]}
    about = {"name": "x", "namespace": "sightline"}
    return {"kind": "PodMonitor", "metadata": about, "spec": spec}


def image(documents: list[Document], name: str) -> None:
    main(documents, "gateway")["image"] = name


def context(documents: list[Document]) -> Any:
    return pod(documents, "gateway")["securityContext"]


def own(documents: list[Document]) -> Any:
    return main(documents, "gateway")["securityContext"]


def volume(documents: list[Document], **what: Any) -> None:
    pod(documents, "gateway")["volumes"].append({"name": "x", **what})


def timed(documents: list[Document]) -> Any:
    return of(documents, "CronJob")["ranker-train"]["spec"]


def label(documents: list[Document], name: str, value: str) -> None:
    deployment(documents, name)["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = value


def budget(documents: list[Document], **what: Any) -> None:
    spec = of(documents, "PodDisruptionBudget")["gateway"]["spec"]
    spec.pop("maxUnavailable")
    spec.update(what)


VIOLATIONS: list[tuple[Rule, str, Change]] = [
    (pods.images, "names no release", lambda d: image(d, "nginx:latest")),
    (pods.images, "names no release", lambda d: image(d, "nginx")),
    (pods.images, "names no release", lambda d: image(d, "localhost:5000/nginx")),
    (pods.images, "no digest", lambda d: image(d, "nginx:1.29.4@sha256:0")),
    (pods.images, "is not of", lambda d: image(d, "sightline/gateway:0.1.0")),
    (pods.images, "is not of", lambda d: image(d, "r.example.com/sightline/gateway")),
    (pods.resources, "requests no cpu", lambda d: main(d, "triton")["resources"].pop("requests")),
    (pods.resources, "no limit of memory", lambda d: main(d, "gateway")["resources"].pop("limits")),
    (
        pods.resources,
        "only throttles",
        lambda d: main(d, "gateway")["resources"]["limits"].update(cpu=1),
    ),
    (pods.probes, "no startupProbe", lambda d: main(d, "gateway").pop("startupProbe")),
    (pods.probes, "no livenessProbe", lambda d: main(d, "triton").pop("livenessProbe")),
    (
        pods.probes,
        "asks port 9999",
        lambda d: main(d, "ranker")["readinessProbe"]["grpc"].update(port=9999),
    ),
    (pods.restricted, "hostNetwork", lambda d: pod(d, "gateway").update(hostNetwork=True)),
    (pods.restricted, "no seccomp", lambda d: context(d).pop("seccompProfile")),
    (pods.restricted, "may be root", lambda d: context(d).update(runAsNonRoot=False)),
    (pods.restricted, "may be root", lambda d: context(d).update(runAsUser=0)),
    (pods.restricted, "may be root", lambda d: own(d).update(runAsUser=0)),
    (pods.restricted, "root file system", lambda d: own(d).pop("readOnlyRootFilesystem")),
    (pods.restricted, "privileges", lambda d: own(d).pop("allowPrivilegeEscalation")),
    (pods.restricted, "privileges", lambda d: own(d).update(privileged=True)),
    (pods.restricted, "capabilities", lambda d: own(d).update(capabilities={"drop": ["NET_RAW"]})),
    (pods.volumes, "is a hostPath", lambda d: volume(d, hostPath={"path": "/"})),
    (pods.volumes, "has no end", lambda d: volume(d, emptyDir={})),
    (
        pods.no_cluster_access,
        "automountServiceAccountToken",
        lambda d: pod(d, "ranker").pop("automountServiceAccountToken"),
    ),
    (
        pods.no_cluster_access,
        "enableServiceLinks",
        lambda d: pod(d, "ranker").update(enableServiceLinks=True),
    ),
    (
        pods.no_cluster_access,
        "RoleBinding",
        lambda d: d.append({"kind": "RoleBinding", "metadata": {"name": "x"}}),
    ),
    (pods.jobs, "beside itself", lambda d: timed(d).update(concurrencyPolicy="Allow")),
    (
        pods.jobs,
        "no ttlSecondsAfterFinished",
        lambda d: timed(d)["jobTemplate"]["spec"].pop("ttlSecondsAfterFinished"),
    ),
    (
        links.referred,
        "ConfigMap none is made by nobody",
        lambda d: main(d, "gateway").update(envFrom=[{"configMapRef": {"name": "none"}}]),
    ),
    (
        links.referred,
        "Secret none is made by nobody",
        lambda d: volume(d, secret={"secretName": "none"}),
    ),
    (
        links.referred,
        "has no other",
        lambda d: volume(
            d, secret={"secretName": "gateway-tls", "items": [{"key": "other", "path": "x"}]}
        ),
    ),
    (
        links.referred,
        "PersistentVolumeClaim none",
        lambda d: volume(d, persistentVolumeClaim={"claimName": "none"}),
    ),
    (
        links.referred,
        "ServiceAccount none",
        lambda d: pod(d, "gateway").update(serviceAccountName="none"),
    ),
    (
        links.used,
        "nobody uses it",
        lambda d: [each.pop("envFrom", None) for each in containers(pod(d, "embedder"))],
    ),
    (links.mounts, "is not mounted", lambda d: volume(d, name="x", emptyDir={})),
    (
        links.mounts,
        "volume x is missing",
        lambda d: main(d, "gateway")["volumeMounts"].append({"name": "x", "mountPath": "/x"}),
    ),
    (
        links.mounts,
        "two volumes at",
        lambda d: main(d, "gateway")["volumeMounts"].append(main(d, "gateway")["volumeMounts"][0]),
    ),
    (links.selectors, "Deployment ranker", lambda d: label(d, "ranker", "ranker-worker")),
    (
        links.selectors,
        "Service ranker: its selector finds no pod",
        lambda d: label(d, "ranker", "x"),
    ),
    (
        links.selectors,
        "spread",
        lambda d: pod(d, "ranker")["topologySpreadConstraints"][0].update(
            labelSelector={"matchLabels": {"app.kubernetes.io/name": "gateway"}}
        ),
    ),
    (links.service_ports, "has no port grpc", lambda d: main(d, "gateway")["ports"].pop(0)),
    (
        links.service_ports,
        "headless",
        lambda d: main(d, "gateway")["ports"][0].update(containerPort=1),
    ),
    (
        links.service_ports,
        "several workloads",
        lambda d: of(d, "Service")["ranker"]["spec"].update(
            selector={"app.kubernetes.io/part-of": "sightline"}
        ),
    ),
    (links.service_ports, "no pod has the port metric", lambda d: d.append(monitor("metric"))),
    (links.once, "is there 2 times", lambda d: d.append(d[-1])),
    (links.once, "is in no namespace", lambda d: d[-1]["metadata"].pop("namespace")),
    (links.applicable, "too many", lambda d: settings(d).update(X="x" * 300_000)),
    (code.known, "GATEWAY_TIMEOUT is no", lambda d: settings(d).update(GATEWAY_TIMEOUT="1")),
    (code.known, "is no setting", lambda d: settings(d).update(RANKER_CATALOGS="default")),
    (code.accepted, "gateway", lambda d: settings(d).update(GATEWAY_PORT="many")),
    (code.accepted, "GATEWAY_REFLECTION", lambda d: settings(d).pop("GATEWAY_REFLECTION")),
    (
        code.given,
        "RANKER_MODEL_STORE is not set",
        lambda d: settings(d, "ranker").pop("RANKER_MODEL_STORE"),
    ),
    (
        code.given,
        "RETRIEVER_DATABASE_URL is not set",
        lambda d: settings(d, "retriever").pop("RETRIEVER_DATABASE_URL_FILE"),
    ),
    (
        code.files,
        "is on no volume",
        lambda d: settings(d).update(GATEWAY_SCENES_FOLDER="/etc/scenes"),
    ),
    (
        pods.secrets,
        "RANKER_DATABASE_URL is a secret",
        lambda d: settings(d, "ranker").update(RANKER_DATABASE_URL="sqlite://"),
    ),
    (
        pods.secrets,
        "environment of retriever",
        lambda d: main(d, "retriever").update(
            env=[{"name": "RETRIEVER_MILVUS_TOKEN", "valueFrom": {"secretKeyRef": {}}}]
        ),
    ),
    (
        pods.secrets,
        "environment of ranker",
        lambda d: main(d, "ranker")["envFrom"].append({"secretRef": {"name": "ranker-database"}}),
    ),
    (
        code.checked,
        "no init container checks",
        lambda d: pod(d, "gateway")["initContainers"][0].pop("args"),
    ),
    (
        code.checked,
        "volumeMounts of the check and of gateway differ",
        lambda d: main(d, "gateway")["volumeMounts"].pop(),
    ),
    (code.ports, "opens", lambda d: settings(d).update(GATEWAY_PORT="8700")),
    (code.ports, "opens", lambda d: settings(d).update(GATEWAY_ADMIN_PORT="8700")),
    (
        code.ports,
        "opens",
        lambda d: settings(d, "ranker-worker").update(RANKER_WORKER_METRICS_PORT="1"),
    ),
    (code.ports, "does not ask 8600", lambda d: settings(d).pop("GATEWAY_PROBE_PORT")),
    (
        code.targets,
        "offered by no Service",
        lambda d: settings(d).update(GATEWAY_RANKER_TARGET="rankers:8603"),
    ),
    (
        code.targets,
        "offered by no Service",
        lambda d: settings(d).update(GATEWAY_RANKER_TARGET="dns:///ranker:8602"),
    ),
    (code.ends, "is killed after 30", lambda d: settings(d).update(GATEWAY_DRAIN_SECONDS="11")),
    (
        code.ends,
        "is killed after 12",
        lambda d: pod(d, "ranker-worker").update(terminationGracePeriodSeconds=12),
    ),
    (
        code.ends,
        "Deployment triton: needs",
        lambda d: main(d, "triton")["args"].append("--exit-timeout-secs=60"),
    ),
    (code.ends, "a server that is gone", lambda d: main(d, "embedder").pop("lifecycle")),
    (scaling.budgets, "0 budgets", lambda d: d.remove(of(d, "PodDisruptionBudget")["ranker"])),
    (scaling.budgets, "no node be drained", lambda d: budget(d, maxUnavailable=0)),
    (scaling.budgets, "no node be drained while", lambda d: budget(d, minAvailable=99)),
    (scaling.budgets, "all of its pods", lambda d: budget(d, maxUnavailable=99)),
    (scaling.scaled, "there is no", lambda d: scaler(d, scaleTargetRef={"name": "gate"})),
    (
        scaling.scaled,
        "another scaler",
        lambda d: [scaler(d), deployment(d).update(replicas=1), scaler(d)],
    ),
    (scaling.scaled, "sets replicas too", lambda d: [scaler(d), deployment(d).update(replicas=2)]),
    (scaling.scaled, "from 0 to 9", lambda d: scaler(d, minReplicaCount=0)),
    (
        scaling.rollouts,
        "on one node",
        lambda d: pod(d, "gateway").pop("topologySpreadConstraints"),
    ),
    (
        scaling.together,
        "pods of several services in one process",
        lambda d: image(d, "sightline/all:1"),
    ),
    (
        network.closed,
        "Ingress is open",
        lambda d: [d.remove(of(d, "NetworkPolicy")[each]) for each in ("nothing", "metrics")],
    ),
    (
        network.arrows,
        "may call ranker on 8603, and no setting",
        lambda d: settings(d).pop("GATEWAY_RANKER_TARGET"),
    ),
    (
        network.arrows,
        "ranker: may be called by gateway on 8603",
        lambda d: settings(d).pop("GATEWAY_RANKER_TARGET"),
    ),
    (network.arrows, "may not call ranker on 8603", lambda d: policy(d, "gateway")["egress"].pop()),
    (
        network.arrows,
        "may be called by elsewhere on 8601",
        lambda d: policy(d, "embedder")["ingress"][0]["from"].append({"namespaceSelector": {}}),
    ),
    (network.arrows, "without ports", lambda d: policy(d, "triton")["ingress"][0].pop("ports")),
    (network.arrows, "without peers", lambda d: policy(d, "triton")["ingress"][0].pop("from")),
    (
        network.arrows,
        "up to 65535",
        lambda d: policy(d, "triton")["ingress"][0]["ports"][0].update(endPort=65535),
    ),
    (
        network.arrows,
        "may not be called by scrape",
        lambda d: d.remove(of(d, "NetworkPolicy")["metrics"]),
    ),
]
