"""Parallel runs of the simulation, and their results."""

import hashlib
import math
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt

from bench.harness.machine import ROOT
from lab.capacity.answering import ANSWERED, DEGRADED, FAILED, SHED, Outcomes
from lab.capacity.chosen import BEHAVIOUR, THRESHOLDS, with_reserve
from lab.capacity.cluster import Cluster, ScalingPolicy
from lab.capacity.inputs import (
    EMBEDDER,
    GATEWAY,
    KINDS,
    RANKER,
    RETRIEVER,
    SERVICES,
    TRITON,
    AnswerWork,
    Assumed,
    work,
)
from lab.capacity.pods import CPU, Engine
from lab.capacity.scenarios import LOADS, MEAN, peak
from lab.capacity.signals import Thresholds, by_processor

PROCESSORS = {GATEWAY: 1, RETRIEVER: 1, RANKER: 1, EMBEDDER: 2, TRITON: 2}
"""Processors of a pod of each service: its request, or what it can use."""
PLANNED = 0.6
"""Planned processor use of fixed numbers of pods, as in docs/operate/performance.md."""
BINS = 90
CODE = ("answering", "cluster", "hpa", "pods", "runs", "scenarios", "signals")
KEPT = ROOT / ".cache" / "capacity"
"""Cache of finished runs, by their code and inputs, so that an interrupted series continues."""


@dataclass(frozen=True, slots=True)
class SimulationJob:
    """Inputs of one simulation."""

    load: str
    policy: ScalingPolicy
    seed: int
    assumed: Assumed = field(default_factory=Assumed)
    engine: Engine = CPU


@dataclass(frozen=True, slots=True)
class SimulationRun:
    """Summary of one simulation."""

    load: str
    policy: str
    seed: int
    p50: float
    p99: float
    """Latency of answered requests in seconds."""
    degraded: float
    shed: float
    failed: float
    """Fractions of all requests."""
    pods: float
    """Their mean number."""
    most: int
    cost: float
    """Euros an hour."""
    by_service: Mapping[str, tuple[float, int]]
    """Mean and maximum number of pods of each service."""
    series: Mapping[str, list[float]]
    """Series for the plot: time, requests a second, pods, p99, fraction of incomplete answers."""

    @property
    def lost(self) -> float:
        """Fraction of requests without an answer."""
        return self.shed + self.failed


def needs(
    rate: float, mix: Mapping[str, float], works: Callable[[str], AnswerWork] = work
) -> dict[str, float]:
    """Return the number of pods of each service that a rate keeps busy all the time."""
    found = dict.fromkeys(SERVICES, 0.0)
    for kind, share in mix.items():
        one = works(kind)
        for service, seconds in (
            (GATEWAY, one.gateway),
            (RETRIEVER, one.search + one.hydrate),
            (RANKER, one.generate + one.rank),
            (EMBEDDER, one.embed),
            (TRITON, one.infer),
        ):
            found[service] += rate * share * seconds / PROCESSORS[service]
    return found


def planned(
    rate: float, mix: Mapping[str, float], works: Callable[[str], AnswerWork] = work
) -> dict[str, int]:
    """Return the pods for a rate at the planned use of processors, at least the autoscaler's
    minimum.
    """
    return {
        service: max(math.ceil(need / PLANNED), BEHAVIOUR[service].least)
        for service, need in needs(rate, mix, works).items()
    }


def scaled(load: str, thresholds: Thresholds = THRESHOLDS, name: str = "signals") -> ScalingPolicy:
    """Return the policy that scales by thresholds.

    It begins with the pods that the load then needs.
    """
    found = LOADS[load]
    return ScalingPolicy(
        name, planned(found.rate(0), found.mix), with_reserve(thresholds), BEHAVIOUR
    )


def policies(load: str) -> list[ScalingPolicy]:
    """Return the policies that are compared.

    The fixed numbers are planned for the highest rate of all loads and for a day's mean.
    """
    mix = LOADS[load].mix
    return [
        scaled(load),
        ScalingPolicy("CPU 60%", scaled(load).pods, by_processor(60), BEHAVIOUR),
        ScalingPolicy("fixed, by peak", planned(peak(load), mix)),
        ScalingPolicy("fixed, by mean", planned(MEAN, mix)),
    ]


def run(job: SimulationJob) -> SimulationRun:
    """Simulate one job and return its summary."""
    load = LOADS[job.load]
    works = {kind: work(kind) for kind in KINDS}
    cluster = Cluster(load, job.policy, works, job.assumed, seed=job.seed, engine=job.engine)
    outcomes = cluster.run()
    counts = [each for at, each in cluster.counts if at >= load.since]
    means = {name: mean(each[name] for each in counts) for name in SERVICES}
    most = {name: max(each[name] for each in counts) for name in SERVICES}
    began, seconds, ends = _arrays(outcomes)
    counted = began >= load.since
    answered = counted & ((ends == ANSWERED) | (ends == DEGRADED))
    share = {end: float(np.mean(ends[counted] == end)) for end in (DEGRADED, SHED, FAILED)}
    return SimulationRun(
        load=job.load,
        policy=job.policy.name,
        seed=job.seed,
        p50=float(np.quantile(seconds[answered], 0.5)),
        p99=float(np.quantile(seconds[answered], 0.99)),
        degraded=share[DEGRADED],
        shed=share[SHED],
        failed=share[FAILED],
        pods=sum(means.values()),
        most=max(sum(each.values()) for each in counts),
        cost=sum(means[name] * PROCESSORS[name] for name in SERVICES) * job.assumed.cpu_price,
        by_service={name: (round(means[name], 2), most[name]) for name in SERVICES},
        series=_series(cluster, began, seconds, ends),
    )


Array = npt.NDArray[np.float64]


def _arrays(outcomes: Outcomes) -> tuple[Array, Array, Array]:
    return (
        np.array(outcomes.began),
        np.array(outcomes.seconds),
        np.array(outcomes.ends, float),
    )


def _series(cluster: Cluster, began: Array, seconds: Array, ends: Array) -> dict[str, list[float]]:
    """Return the series of a run by slices of the load's time.

    Minutes are scaled to the pods' pace.
    """
    load = cluster.load
    width = load.seconds / BINS
    found: dict[str, list[float]] = {
        name: [] for name in ("minutes", "rate", "pods", "p99", "not_whole")
    }
    for number in range(BINS):
        start = number * width
        within = (began >= start) & (began < start + width)
        answered = seconds[within & (ends < SHED)]
        pods = [sum(each.values()) for at, each in cluster.counts if start <= at < start + width]
        found["minutes"].append(round((start + width / 2) * load.pace / 60, 3))
        found["rate"].append(round(float(within.sum()) / width, 1))
        last = found["pods"][-1] if found["pods"] else float(sum(cluster.policy.pods.values()))
        found["pods"].append(round(mean(pods), 2) if pods else last)
        found["p99"].append(float(np.quantile(answered, 0.99)) if len(answered) else math.nan)
        found["not_whole"].append(float(np.mean(ends[within] > ANSWERED)) if within.any() else 0.0)
    return found


def all_of(jobs: Sequence[SimulationJob], kept: Path = KEPT) -> list[SimulationRun]:
    """Run all jobs, one process for each core, and return their results in order.

    Results do not depend on the number of processes; those that the same code computed before are
    read from `kept`.
    """
    kept.mkdir(parents=True, exist_ok=True)
    paths = [kept / f"{_key(job)}.pickle" for job in jobs]
    left = {path: job for path, job in zip(paths, jobs, strict=True) if not path.exists()}
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(_keep, left.items()))
    return [pickle.loads(path.read_bytes()) for path in paths]  # noqa: S301, which we wrote


def _keep(given: tuple[Path, SimulationJob]) -> None:
    path, job = given
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(pickle.dumps(run(job)))
    unfinished.replace(path)


def _key(job: SimulationJob) -> str:
    """Return the cache key of a job: a digest of the job, its inputs and the simulation's code."""
    code = b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in CODE)
    loads = LOADS[job.load].mix
    said = repr((job, loads, [work(kind) for kind in KINDS])).encode()
    return hashlib.sha256(code + said).hexdigest()[:24]
