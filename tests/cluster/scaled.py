"""Autoscaling on two cores: changed ScaledObjects, and what lab/capacity predicts of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from lab.capacity.cluster import Cluster, Load, ScalingPolicy
from lab.capacity.hpa import AutoscalerBehaviour, Rule
from lab.capacity.inputs import EMBEDDER, SERVICES, USER, AnswerWork, Assumed
from tests.contracts.k8s import Document, of
from tests.contracts.scaling import behaviours, thresholds

MOST: Final = {"gateway": 3, "embedder": 3, "retriever": 2, "ranker": 2, "triton": 1}
"""Largest numbers of pods. The smallest is 1 of each."""
REQUEST: Final = 0.1
"""CPUs that a scaled pod requests here. Triggers by CPU stay at the same number of CPUs."""
OTHER: Final = {
    ("gateway", "calls"): 1.2,
    ("embedder", "waiting"): 0.3,
    ("embedder", "busy"): 0.12,
    ("retriever", "calls"): 4.0,
}
"""Thresholds that differ from the manifests', by ScaledObject and trigger: on two cores calls take
longer, and fewer photos keep decoders busy."""
UP_SECONDS, DOWN_SECONDS, DOWN_WINDOW = 20, 15, 30
"""Periods of the scaling policies, one pod each, and the window before pods are removed."""
SCRAPE_SECONDS, SYNC_SECONDS = 5.0, 5.0
"""Intervals of Prometheus and of the controller manager; 15 s are usual."""
START_SECONDS: Final = 8.0
"""From the decision to add a pod to its first call, with the image on the node."""
AGE_SECONDS: Final = 33.0
"""Time until the last caller knows a new pod: the connection age with its jitter."""
DEADLINE_SECONDS: Final = 10.0
AT_ONCE: Final = 100
"""Calls that a pod works on at a time: their measured seconds have the waits for processors."""
SPREAD: Final = 0.3
"""Standard deviation of the logarithm of a call's work."""

Changes = list[tuple[float, int]]
"""Wanted numbers of pods, each with the seconds from the start of a rush."""


def patches(documents: Sequence[Document]) -> list[Document]:
    """Return the changes of these ScaledObjects. Probes, memory and security stay."""
    rules = "/spec/advanced/horizontalPodAutoscalerConfig/behavior"
    made = [_patch("Deployment", "|".join(MOST), {_REQUESTED: f"{int(REQUEST * 1000)}m"})]
    for name, each in of(list(documents), "ScaledObject").items():
        values: dict[str, object] = {
            "/spec/minReplicaCount": 1,
            "/spec/maxReplicaCount": MOST[name],
            f"{rules}/scaleUp/policies": _one_pod_in(UP_SECONDS),
            f"{rules}/scaleDown/policies": _one_pod_in(DOWN_SECONDS),
            f"{rules}/scaleDown/stabilizationWindowSeconds": DOWN_WINDOW,
        }
        for place, trigger in enumerate(each["spec"]["triggers"]):
            path = f"/spec/triggers/{place}/metadata"
            if trigger["type"] == "cpu":
                values[f"{path}/value"] = f"{float(trigger['metadata']['value']) / REQUEST:.0f}"
            elif (other := OTHER.get((name, trigger["name"]))) is not None:
                values[f"{path}/threshold"] = f"{other:g}"
        made.append(_patch("ScaledObject", name, values))
    return made


_REQUESTED = "/spec/template/spec/containers/0/resources/requests/cpu"


def _one_pod_in(seconds: int) -> list[Document]:
    return [{"type": "Pods", "value": 1, "periodSeconds": seconds}]


def _patch(kind: str, name: str, values: Mapping[str, object]) -> Document:
    lines = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    return {"target": {"kind": kind, "name": f"({name})"}, "patch": yaml.safe_dump(lines)}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls to the gateway over a time, and the mean work of one."""

    rate: float
    """Calls a second."""
    work: AnswerWork


def work_of(spent: Mapping[str, float]) -> AnswerWork:
    """Return the work of a call from its seconds in each service, and of decoding ("intake")."""
    peers = spent["retriever"] + spent["ranker"] + spent["embedder"]
    return AnswerWork(
        gateway=max(spent["gateway"] - peers, 0.1 * spent["gateway"]),
        embed=spent["intake"],
        infer=max(spent["embedder"] - spent["intake"], 0.0),
        search=spent["retriever"] / 2,
        hydrate=spent["retriever"] / 2,
        generate=spent["ranker"] / 2,
        rank=spent["ranker"] / 2,
        rest=0.0,
        spread=SPREAD,
    )


def predicted(
    documents: Sequence[Document],
    usual: Traffic,
    rush: Traffic,
    seconds: tuple[float, float, float],
    seed: int,
) -> dict[str, Changes]:
    """Return the sizes of each workload that the simulation predicts.

    `seconds`: lengths of the time before the rush, of the rush, and of the time after it.
    """
    before, lasting, _ = seconds

    def is_rush(now: float) -> bool:
        return before <= now < before + lasting

    load = Load(
        "a rush",
        sum(seconds),
        lambda now: rush.rate if is_rush(now) else usual.rate,
        {"usual": 1.0},
        mix_at=lambda now: {"rush" if is_rush(now) else "usual": 1.0},
    )
    pods = dict.fromkeys(SERVICES, 1)
    policy = ScalingPolicy("signals", pods, limits(documents), behaviour(documents))
    assumed = Assumed(
        deadline=DEADLINE_SECONDS,
        start=START_SECONDS,
        start_triton=START_SECONDS,
        unknown=AGE_SECONDS,
        nodes=1,
        scrape=SCRAPE_SECONDS,
        sync=SYNC_SECONDS,
    )
    work = {"usual": usual.work, "rush": rush.work, USER: usual.work}
    cluster = Cluster(load, policy, work, assumed, seed=seed, at_once=AT_ONCE)
    cluster.run()
    return {
        name: [(at - before, size) for at, size in service.sizes if at > before]
        for name, service in cluster.services.items()
    }


def limits(documents: Sequence[Document]) -> dict[str, dict[str, float]]:
    """Return the thresholds of documents in the simulation's units: shares of a pod's CPUs."""
    cpus = {name: 2 if name == EMBEDDER else 1 for name in SERVICES}
    return {
        name: {
            trigger: value * REQUEST / cpus[name] if trigger == "cpu" else value
            for trigger, value in each.items()
        }
        for name, each in thresholds(list(documents)).items()
    }


def behaviour(documents: Sequence[Document]) -> dict[str, AutoscalerBehaviour]:
    """Return the behaviour of the ScaledObjects for the simulation."""
    found = behaviours(list(documents))
    return {
        name: AutoscalerBehaviour(
            each["least"],
            each["most"],
            Rule(**each["up"]),
            Rule(**each["down"]),
            each["down_window"],
            each["up_window"],
        )
        for name, each in found.items()
    }
