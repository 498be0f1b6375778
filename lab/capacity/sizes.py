"""Resources and latency of two sizes of shop, for docs/operate/sizing.md.

Pods are planned by processor time, as measured at 100,000 products, and simulated under that load.
The pods by thresholds follow from the calls in progress in that simulation.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from lab.capacity.chosen import BEHAVIOUR, THRESHOLDS
from lab.capacity.cluster import Cluster, Load, ScalingPolicy
from lab.capacity.inputs import (
    EMBEDDER,
    GATEWAY,
    KINDS,
    PHOTO,
    RANKER,
    RETRIEVER,
    TRITON,
    Assumed,
    large_work,
)
from lab.capacity.pods import GPU
from lab.capacity.runs import PLANNED, PROCESSORS, needs, planned
from lab.capacity.scenarios import MIX

SECONDS, SETTLED = 30.0, 5.0
SEED = 1


@dataclass(frozen=True, slots=True)
class PlannedSize:
    """A shop."""

    name: str
    products: int
    rate: float
    """Requests a second at the peak."""


SIZES = (
    PlannedSize("1 M at 100/s", 1_000_000, 100.0),
    PlannedSize("20 M at 2,000/s", 20_000_000, 2_000.0),
)


@dataclass(frozen=True, slots=True)
class Sized:
    """Resources of a shop."""

    name: str
    products: int
    rate: float
    pods: Mapping[str, int]
    """Pods planned at 60% of their processors; Triton on processors."""
    by_thresholds: Mapping[str, int]
    """Pods by the autoscalers' thresholds."""
    gpus: int
    """GPUs instead of Triton's pods: ASSUMED speed, and one spare."""
    p50: float
    p99: float
    """Latency in seconds with the planned pods."""
    not_whole: float
    """Share of requests."""


def sized(size: PlannedSize) -> Sized:
    """Plan a shop's pods and simulate them under its peak rate."""
    pods = planned(size.rate, MIX, large_work)
    load = Load(size.name, SECONDS, lambda _: size.rate, MIX, since=SETTLED)
    works = {kind: large_work(kind) for kind in KINDS}
    cluster = Cluster(load, ScalingPolicy("planned", pods), works, Assumed(), seed=SEED)
    found = cluster.run()
    counted = np.array(found.began) >= SETTLED
    seconds, ends = np.array(found.seconds)[counted], np.array(found.ends)[counted]
    spent = {
        name: sum(pod.spent for pod in cluster.services[name].live) / SECONDS
        for name in (GATEWAY, RETRIEVER)
    }
    return Sized(
        name=size.name,
        products=size.products,
        rate=size.rate,
        pods=pods,
        by_thresholds=_by_thresholds(size, spent),
        gpus=_gpus(size.rate),
        p50=float(np.quantile(seconds, 0.5)),
        p99=float(np.quantile(seconds, 0.99)),
        not_whole=float(np.mean(ends > 0)),
    )


def _by_thresholds(size: PlannedSize, spent: Mapping[str, float]) -> dict[str, int]:
    """Return the replicas that each service's trigger holds under a steady load."""
    busy = needs(size.rate, MIX, large_work)
    wanted = {name: calls / THRESHOLDS[name]["calls"] for name, calls in spent.items()}
    wanted[RANKER] = busy[RANKER] / (THRESHOLDS[RANKER]["cpu"] / 100)
    for name in (EMBEDDER, TRITON):
        wanted[name] = busy[name] * PROCESSORS[name] / THRESHOLDS[name]["busy"]
    return {name: max(math.ceil(each), BEHAVIOUR[name].least) for name, each in wanted.items()}


def _gpus(rate: float) -> int:
    """Return the GPUs needed at this rate, with full batches, and one spare."""
    photos = rate * MIX[PHOTO]
    a_photo = GPU.a_batch / GPU.most + GPU.share * large_work(PHOTO).infer
    return max(math.ceil(photos * a_photo / PLANNED), 1) + 1


def figures() -> list[dict[str, object]]:
    """Return the figures of all sizes, for the result."""
    return [asdict(sized(each)) for each in SIZES]
