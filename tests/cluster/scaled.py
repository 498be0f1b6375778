"""Autoscaling on two cores: changed ScaledObjects, and what the laboratory predicts of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import yaml

from tests.chaos.model import NotMeasured
from tests.contracts.k8s import ROOT, Document, of
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

LAB: Final = ROOT / "lab/.venv/bin/python"

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
class CallWork:
    """Processor seconds of a call by stage, as lab.rushes reads them."""

    gateway: float
    embed: float
    infer: float
    search: float
    hydrate: float
    generate: float
    rank: float
    rest: float = 0.0
    spread: float = SPREAD


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls to the gateway over a time, and the mean work of one."""

    rate: float
    """Calls a second."""
    work: CallWork


def work_of(spent: Mapping[str, float]) -> CallWork:
    """Return the work of a call from its seconds in each service, and of decoding ("intake")."""
    peers = spent["retriever"] + spent["ranker"] + spent["embedder"]
    return CallWork(
        gateway=max(spent["gateway"] - peers, 0.1 * spent["gateway"]),
        embed=spent["intake"],
        infer=max(spent["embedder"] - spent["intake"], 0.0),
        search=spent["retriever"] / 2,
        hydrate=spent["retriever"] / 2,
        generate=spent["ranker"] / 2,
        rank=spent["ranker"] / 2,
    )


def predicted(question: Document) -> list[dict[str, Changes]]:
    """Return the sizes of each workload that the laboratory simulates, for each seed.

    Raise NotMeasured without its environment.
    """
    if not LAB.exists():
        raise NotMeasured("the laboratory has no environment: make lab/.venv/.synced")
    done = subprocess.run(
        [LAB, "-m", "lab.rushes"],
        input=json.dumps(question),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return [
        {name: [(at, size) for at, size in sizes] for name, sizes in each.items()} for each in found
    ]


def asked(
    documents: Sequence[Document],
    usual: Traffic,
    rush: Traffic,
    seconds: tuple[float, float, float],
    seeds: Sequence[int],
) -> Document:
    """Return the question to lab.rushes.

    `seconds`: lengths of the time before the rush, of the rush, and of the time after it.
    """
    return {
        "usual": asdict(usual),
        "rush": asdict(rush),
        "seconds": seconds,
        "seeds": list(seeds),
        "thresholds": limits(documents),
        "behaviour": behaviours(list(documents)),
        "at_once": AT_ONCE,
        "assumed": {
            "deadline": DEADLINE_SECONDS,
            "start": START_SECONDS,
            "start_triton": START_SECONDS,
            "unknown": AGE_SECONDS,
            "nodes": 1,
            "scrape": SCRAPE_SECONDS,
            "sync": SYNC_SECONDS,
        },
    }


def limits(documents: Sequence[Document]) -> dict[str, dict[str, float]]:
    """Return the thresholds of documents in the simulation's units: shares of a pod's CPUs."""
    cpus = {name: 2 if name == "embedder" else 1 for name in MOST}
    return {
        name: {
            trigger: value * REQUEST / cpus[name] if trigger == "cpu" else value
            for trigger, value in each.items()
        }
        for name, each in thresholds(list(documents)).items()
    }
