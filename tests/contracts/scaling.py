"""Rules of the component `autoscaling`: each yields the violations in documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.contracts.k8s import ROOT, SERVED, Document, main, of, pod, settings_of

SCALED = [*SERVED, "triton"]
RESERVE = 90.0
"""Percent of a processor, above which a pod is added though Prometheus does not answer."""
LONGEST_AGE = 60.0
"""Seconds in which a new pod has to have its share of the work."""
TRITON_AGE = "--grpc-max-connection-age="

Rule = Callable[[list[Document]], Iterator[str]]


def scalers(documents: list[Document]) -> dict[str, Document]:
    return {name: each["spec"] for name, each in of(documents, "ScaledObject").items()}


def triggers(scaler: Document, kind: str = "prometheus") -> list[Document]:
    return [each for each in scaler["triggers"] if each["type"] == kind]


def thresholds(documents: list[Document]) -> dict[str, dict[str, float]]:
    """Return the threshold of each trigger, by workload and name, in the simulation's units."""
    return {
        name: {
            each["name"]: float(each["metadata"].get("threshold") or each["metadata"]["value"])
            for each in scaler["triggers"]
        }
        for name, scaler in scalers(documents).items()
    }


def behaviours(documents: list[Document]) -> dict[str, dict[str, Any]]:
    """Return the scaling behaviour of each workload, in the simulation's terms."""
    found: dict[str, dict[str, Any]] = {}
    for name, scaler in scalers(documents).items():
        rules = scaler["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        found[name] = {"least": scaler["minReplicaCount"], "most": scaler["maxReplicaCount"]}
        for way, rule in (("up", rules["scaleUp"]), ("down", rules["scaleDown"])):
            values = {each["type"]: each["value"] for each in rule["policies"]}
            (seconds,) = {each["periodSeconds"] for each in rule["policies"]}
            pods, percent = values.get("Pods", 0), values.get("Percent", 0)
            found[name][way] = {"pods": pods, "percent": percent, "seconds": seconds}
            found[name][f"{way}_window"] = rule["stabilizationWindowSeconds"]
    return found


def differences(
    documents: list[Document], wanted: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """Yield differences between the manifests and the simulation's result."""
    given = thresholds(documents)
    for name, figures in wanted.items():
        for trigger, figure in figures.items():
            found = given.get(name, {}).get(trigger)
            if found != float(figure):
                yield f"{name} {trigger}: {found} in the manifest, {figure} simulated"
    for name, figures in given.items():
        for trigger in figures.keys() - wanted.get(name, {}).keys():
            reserve = trigger == "cpu" and figures[trigger] == RESERVE
            if trigger != "limit" and not reserve:  # those come from the code, not from load
                yield f"{name} {trigger}: not simulated"


def targets(documents: list[Document]) -> Iterator[str]:
    """Yield services, and Triton, without exactly one scaler that alone sets the number of pods;
    workers must have none, because only one works at a time."""
    deployments = of(documents, "Deployment")
    found = [each["scaleTargetRef"]["name"] for each in scalers(documents).values()]
    if sorted(found) != sorted(SCALED):
        yield f"scaled are {sorted(found)}"
    for name in found:
        if name not in deployments:
            yield f"there is no {name}"
        elif "replicas" in deployments[name]["spec"]:
            yield f"{name} sets replicas too"
    for each in of(documents, "HorizontalPodAutoscaler").values():
        if each["spec"]["scaleTargetRef"]["name"] in found:
            yield f"{each['metadata']['name']}: a second scaler"


def known_metrics() -> set[str]:
    table = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    histograms = re.findall(r"`(sightline_\w+)` \| histogram", table)
    return set(re.findall(r"`(sightline_\w+)` \|", table)) | {f"{each}_sum" for each in histograms}


def queries(documents: list[Document]) -> Iterator[str]:
    """Yield queries for metrics that do not exist, or of other namespaces or services."""
    known = known_metrics()
    for name, document in of(documents, "ScaledObject").items():
        for trigger in triggers(document["spec"]):
            query = trigger["metadata"]["query"]
            selectors = re.findall(r"(sightline_\w+|nv_\w+)\{(.*?)\}", query)
            if len(selectors) != len(re.findall(r"\b(?:sightline|nv)_", query)):
                yield f"{name} {trigger['name']}: a metric of all namespaces"
            for metric, labels in selectors:
                if metric not in known and not metric.startswith("nv_inference_"):
                    yield f"{name} {trigger['name']}: there is no {metric}"
                if f'namespace="{document["metadata"]["namespace"]}"' not in labels:
                    yield f"{name} {trigger['name']}: {metric} of another namespace"
                if metric.startswith("sightline_") and f'service="{name}"' not in labels:
                    yield f"{name} {trigger['name']}: {metric} of another service"


def silence(documents: list[Document]) -> Iterator[str]:
    """Yield scalers that would remove pods without metrics, or would not add pods at full processor
    use."""
    for name, scaler in scalers(documents).items():
        for each in triggers(scaler):
            if each["metadata"].get("ignoreNullValues") != "false":
                yield f"{name} {each['name']}: takes no answer for nothing to do"
            if each["metricType"] not in ("AverageValue", "Value"):
                yield f"{name} {each['name']}: {each['metricType']}"
        if name == "triton":  # on GPUs its processor says little
            continue
        for each in triggers(scaler, "cpu"):
            if "cpu" not in main(documents, name)["resources"]["requests"]:
                yield f"{name}: asks for no processor that a share could be of"
            if float(each["metadata"]["value"]) > RESERVE:
                yield f"{name}: a processor is never that full"
        if not triggers(scaler, "cpu"):
            yield f"{name}: nothing adds pods where Prometheus does not answer"


def behaviour(documents: list[Document]) -> Iterator[str]:
    """Yield behaviours that do not scale up at once and down slowly, or that go down to one pod,
    which is allowed only for GPUs."""
    for name, scaler in scalers(documents).items():
        least, most = scaler["minReplicaCount"], scaler["maxReplicaCount"]
        if not (1 if name == "triton" else 2) <= least < most:
            yield f"{name}: {least} to {most} pods"
        rules = scaler["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        if rules["scaleUp"]["stabilizationWindowSeconds"] > 0:
            yield f"{name}: waits before it scales up"
        if rules["scaleDown"]["stabilizationWindowSeconds"] < 300:
            yield f"{name}: scales down in the pause between two waves"
        for policy in rules["scaleDown"]["policies"]:
            if policy["value"] > 25 or policy["periodSeconds"] < 60:
                yield f"{name}: scales down by more than a quarter a minute"


def new_pods(documents: list[Document]) -> Iterator[str]:
    """Yield servers whose connections live too long for new pods to get calls."""
    for name in SERVED:
        age = float(settings_of(documents, name).get(f"{name.upper()}_CONNECTION_AGE_SECONDS", 0))
        if not 0 < age <= LONGEST_AGE:
            yield f"{name}: connections end after {age:g} s"
    given = [a for a in main(documents, "triton")["args"] if a.startswith(TRITON_AGE)]
    if not given or not 0 < int(given[0].removeprefix(TRITON_AGE)) <= LONGEST_AGE * 1000:
        yield f"triton: {given}"


def disruption(documents: list[Document]) -> Iterator[str]:
    """Yield workloads that a drained node could take as a whole; pods of an old release must not
    count as spread."""
    for name in SCALED:
        most = of(documents, "PodDisruptionBudget")[name]["spec"]["maxUnavailable"]
        if most != (1 if name == "triton" else "10%"):
            yield f"{name}: {most} may be gone"
        for spread in pod(documents, name)["topologySpreadConstraints"]:
            if spread.get("matchLabelKeys") != ["pod-template-hash"]:
                yield f"{name}: spread by {spread['topologyKey']} beside pods that go"


RULES: list[Rule] = [targets, queries, silence, behaviour, new_pods, disruption]
Change = Callable[[list[Document]], Any]
