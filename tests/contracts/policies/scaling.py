"""Rules: the number of pods, and disruption budgets that let a node be drained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.contracts.k8s import TOGETHER, Document
from tests.contracts.policies.cluster import (
    Cluster,
    Rule,
    Workload,
    namespace,
    selects,
    title,
)
from tests.contracts.policies.code import image_of

SCALED = ("Deployment", "StatefulSet")


def scalers(cluster: Cluster) -> list[Document]:
    return cluster.of("HorizontalPodAutoscaler", "ScaledObject")


def target(scaler: Document) -> tuple[str, str]:
    wanted = scaler["spec"]["scaleTargetRef"]
    return wanted.get("kind", "Deployment"), wanted["name"]


def bounds(scaler: Document) -> tuple[int, int]:
    """Return the minimum and maximum number of pods, with Kubernetes' and KEDA's own defaults."""
    spec = scaler["spec"]
    if scaler["kind"] == "ScaledObject":
        return spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
    return spec.get("minReplicas", 1), spec["maxReplicas"]


def fewest(cluster: Cluster, workload: Workload) -> int:
    for scaler in scalers(cluster):
        if target(scaler) == (workload.kind, workload.name):
            return bounds(scaler)[0]
    return int(workload.document["spec"].get("replicas", 1))


def budgets(cluster: Cluster) -> Iterator[str]:
    """Yield replicated workloads without exactly one disruption budget that allows one pod to be
    drained."""
    made = cluster.of("PodDisruptionBudget")
    for workload in cluster.workloads(*SCALED):
        own = [
            each["spec"]
            for each in made
            if namespace(each) == workload.namespace
            and selects(each["spec"]["selector"], workload.labels)
        ]
        if len(own) > 1 or (not own and fewest(cluster, workload) > 1):
            yield f"{workload}: {len(own)} budgets"
        for budget in own:
            yield from _blocks(budget, workload, fewest(cluster, workload))


def _blocks(budget: Mapping[str, int | str], workload: Workload, pods: int) -> Iterator[str]:
    most, least = budget.get("maxUnavailable"), budget.get("minAvailable")
    if most in (0, "0%"):
        yield f"{workload}: its budget lets no node be drained"
    if most == "100%" or (isinstance(most, int) and most >= pods > 1):
        yield f"{workload}: its budget lets all of its pods go at once"
    if least == "100%" or (isinstance(least, int) and least >= pods):
        yield f"{workload}: its budget lets no node be drained while there are {pods} pods"


def scaled(cluster: Cluster) -> Iterator[str]:
    """Yield scalers whose target is missing, has another scaler, or sets a number of pods, which
    each apply would restore."""
    made = {(each.kind, each.name): each for each in cluster.workloads(*SCALED)}
    seen: set[tuple[str, str]] = set()
    for scaler in scalers(cluster):
        wanted = target(scaler)
        least, most = bounds(scaler)
        if wanted in seen:
            yield f"{title(scaler)}: {wanted[1]} has another scaler"
        seen.add(wanted)
        if wanted not in made:
            yield f"{title(scaler)}: there is no {' '.join(wanted)}"
        elif "replicas" in made[wanted].document["spec"]:
            yield f"{title(scaler)}: {wanted[1]} sets replicas too"
        if not 1 <= least < most:
            yield f"{title(scaler)}: from {least} to {most} pods"


def rollouts(cluster: Cluster) -> Iterator[str]:
    """Yield replicas that may share a node, and single pods with a volume that may run twice."""
    for workload in cluster.workloads("Deployment"):
        keys = {each["topologyKey"] for each in workload.pod.get("topologySpreadConstraints", ())}
        if fewest(cluster, workload) > 1 and "kubernetes.io/hostname" not in keys:
            yield f"{workload}: all of its pods may be on one node"


def together(cluster: Cluster) -> Iterator[str]:
    """Yield workloads with several services in one process that may have several pods: a shop that
    needs them runs its services apart."""
    most = {target(each): bounds(each)[1] for each in scalers(cluster)}
    for workload in cluster.workloads(*SCALED):
        pods = most.get((workload.kind, workload.name), fewest(cluster, workload))
        if pods > 1 and any(image_of(each) == TOGETHER for each in workload.containers):
            yield f"{workload}: {pods} pods of several services in one process: run them apart"


RULES: list[Rule] = [budgets, scaled, rollouts, together]
