"""Comparison of the model with a measurement: one pod of each service on one machine with two
processors.

Callers, as in the bench `monolith`, send the next request as soon as they have an answer, and share
the machine. Service times are those of eight callers. Compared are answers a second and latencies
at 1, 8 and 32 callers.
"""

import statistics
from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import simpy

from lab.capacity import answering
from lab.capacity.inputs import (
    EMBEDDER,
    GATEWAY,
    KINDS,
    RANKER,
    RETRIEVER,
    TRITON,
    cell,
    client_seconds,
    work,
)
from lab.capacity.pods import EmbedderPod, Pod, TritonPod

CALLERS = (1, 8, 32)
PROCESSORS = 2
ANSWERS = 2000
PATIENT = 60.0
"""Deadline in seconds, long enough for every request."""


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """One kind of request at one number of callers."""

    kind: str
    callers: int
    predicted: tuple[float, float, float]
    """Requests a second; p50 and p99 in milliseconds."""
    measured: tuple[float, float, float]

    @property
    def off(self) -> tuple[float, float, float]:
        """Predicted ÷ measured."""
        rate, median, tail = (
            one / other for one, other in zip(self.predicted, self.measured, strict=True)
        )
        return rate, median, tail


def compared() -> list[ModelComparison]:
    """Compare prediction and measurement in every cell."""
    return [
        ModelComparison(kind, callers, predicted(kind, callers), measured(kind, callers))
        for kind in KINDS
        for callers in CALLERS
    ]


def measured(kind: str, callers: int) -> tuple[float, float, float]:
    """Return the measured requests a second, p50 and p99 (milliseconds)."""
    found = cell(kind, callers)
    rate = statistics.median(found["requests_per_second"])
    return rate, found["percentiles_ms"][50], found["percentiles_ms"][99]


def predicted(kind: str, callers: int, seed: int = 1) -> tuple[float, float, float]:
    """Return the predicted requests a second, p50 and p99 (milliseconds)."""
    env = simpy.Environment()
    machine = simpy.Resource(env, PROCESSORS)
    pods: dict[str, Pod] = {
        name: Pod(env, 1, machine=machine) for name in (GATEWAY, RETRIEVER, RANKER)
    }
    triton = pods[TRITON] = TritonPod(env, 2, machine=machine)
    pods[EMBEDDER] = EmbedderPod(env, 2, machine=machine, triton=lambda _: triton, rows=4)
    shop = answering.SimulatedShop(
        env=env,
        random=Random(seed),
        pick=lambda name, _: pods[name],
        work={each: work(each) for each in KINDS},
        deadline=PATIENT,
    )
    own = Pod(env, 1, machine=machine)
    others = Pod(env, 1, machine=machine)
    for _ in range(callers):
        env.process(_caller(shop, kind, own, others))
    while len(shop.outcomes.ends) < ANSWERS:
        env.step()
    skipped = ANSWERS // 10
    milliseconds = np.array(shop.outcomes.seconds[skipped:]) * 1e3
    lasted = env.now - shop.outcomes.began[skipped]
    p50, p99 = np.quantile(milliseconds, (0.5, 0.99))
    return len(milliseconds) / lasted, float(p50), float(p99)


def _caller(
    shop: answering.SimulatedShop, kind: str, own: Pod, others: Pod
) -> Generator[simpy.Event, Any, None]:
    """Send requests one after another as one caller.

    The callers share a process; the workers' load runs beside them.
    """
    while True:
        yield own.work(client_seconds())
        yield from answering.ask(shop, kind)
        others.work(shop.work[kind].rest)
