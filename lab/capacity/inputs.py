"""Inputs of the simulation, each with its source."""

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from bench.harness.machine import ROOT

MEASURED = ROOT / "lab" / "capacity" / "measured"
"""Folder of parts of raw results, so that a simulation can be repeated with the same figures."""
ANSWERS = "monolith.json"
"""File of processor times by process, and latencies by number of callers."""
LARGE, LARGE_CATALOG = "monolith-large.json", "100,000 × 80-d, server"
"""File of the same at 100,000 products, without photos."""
STAGES = "recommend.json"
HOPS = "hops.json"
OTHER_STAGES = ("embed", "retrieve", "rank", "hydrate")
"""Stages of an answer, without candidates by behavior."""
CATALOG = "3,068 photos"
CALLERS = 8
"""Number of callers whose cells give the service times; other cells validate the model."""

PRODUCT, USER, PHOTO, SEARCH = "product", "user", "photo", "search"
KINDS = (PRODUCT, USER, PHOTO, SEARCH)
GATEWAY, RETRIEVER, RANKER, EMBEDDER, TRITON = SERVICES = (
    *("gateway", "retriever", "ranker"),
    *("embedder", "triton"),
)


class Origin(StrEnum):
    """Kind of source of a figure."""

    MEASURED = "measured"
    ASSUMED = "assumed"
    SETTING = "setting"


@dataclass(frozen=True, slots=True)
class Input:
    """One figure."""

    name: str
    value: float
    unit: str
    origin: Origin
    source: str


@dataclass(frozen=True, slots=True)
class AnswerWork:
    """Processor seconds of one kind of answer, by stage; 0 if it has no such stage."""

    gateway: float
    embed: float
    """The embedder's part, including decoding."""
    infer: float
    """Triton's part, for one photo."""
    search: float
    generate: float
    """The ranker's part, for candidates by behavior."""
    rank: float
    hydrate: float
    rest: float
    """Background work of other processes on the same machine."""
    spread: float
    """Standard deviation of the logarithm of an answer's work."""


@cache
def read(name: str) -> Any:
    """Return the figures of a file in MEASURED."""
    return json.loads((MEASURED / name).read_text(encoding="utf-8"))


def cell(kind: str, callers: int, catalog: str = CATALOG, name: str = ANSWERS) -> Any:
    """Return the suite's cell of the bench `monolith`. Raise LookupError when there is none."""
    for each in read(name)["cells"]:
        if (each["catalog"], each["kind"], each["callers"]) == (catalog, kind, callers) and each[
            "contender"
        ] == "the suite":
            return each
    raise LookupError(f"{name}: {catalog}, {kind}, {callers} callers")


def processor(kind: str, process: str, *, large: bool = False) -> float:
    """Return the processor seconds that a process spends on one answer, the median of the rounds.

    `large`: in the catalog of 100,000 products.
    """
    catalog, name = (LARGE_CATALOG, LARGE) if large else (CATALOG, ANSWERS)
    found: list[float] = cell(kind, CALLERS, catalog, name)["cpu_ms_by_process"].get(process, [0])
    return statistics.median(found) / 1e3


def _stages(kind: str) -> Mapping[str, float]:
    """Return the median milliseconds of each stage at one caller, where nothing queues."""
    for each in read(STAGES)["cases"]:
        if (each["kind"], each["clients"]) == (kind, 1):
            return {name: stage["p50_ms"]["value"] for name, stage in each["stages"].items()}
    raise LookupError(f"{STAGES}: {kind}")


def spread_of(kind: str) -> float:
    """Return the log-normal spread of latencies at one caller, from p50 and p90."""
    at_one = cell(kind, 1)["percentiles_ms"]
    ratio: float = at_one[90] / at_one[50]
    return math.log(ratio) / 1.2816


@cache
def work(kind: str) -> AnswerWork:
    """Return the work of one kind of answer.

    What a process spends on two calls is divided in proportion to the calls' durations.
    """
    # A search goes through the same two calls to the retriever as an answer by product does.
    stages = _stages(PRODUCT if kind == SEARCH else kind)
    retrieve, hydrate = stages.get("retrieve", 0.0), stages["hydrate"]
    rank = stages["rank"]
    generate = sum(value for name, value in stages.items() if name not in OTHER_STAGES)
    retriever, ranker = processor(kind, RETRIEVER), processor(kind, RANKER)
    photo = kind == PHOTO
    others = ("other", "milvus", "retriever-worker", "ranker-worker")
    return AnswerWork(
        gateway=processor(kind, GATEWAY),
        embed=processor(kind, EMBEDDER) if photo else 0.0,
        infer=processor(kind, TRITON) if photo else 0.0,
        search=retriever * retrieve / (retrieve + hydrate),
        hydrate=retriever * hydrate / (retrieve + hydrate),
        generate=ranker * generate / (generate + rank),
        rank=0.0 if kind == SEARCH else ranker * rank / (generate + rank),
        rest=sum(processor(kind, name) for name in others),
        spread=spread_of(kind),
    )


@cache
def large_work(kind: str) -> AnswerWork:
    """Return the work of one kind of answer among 100,000 products.

    Answers by photo were not measured there: they grow as answers by product do.
    """
    small, of = work(kind), PRODUCT if kind == PHOTO else kind

    def grown(process: str) -> float:
        before, after = processor(of, process), processor(of, process, large=True)
        return max(after - before, 0.0) if kind == PHOTO else after - before

    retriever, ranker = small.search + small.hydrate, small.generate + small.rank
    more, longer = 1 + grown(RETRIEVER) / retriever, 1 + (grown(RANKER) / ranker if ranker else 0)
    return replace(
        small,
        gateway=small.gateway + grown(GATEWAY),
        search=small.search * more,
        hydrate=small.hydrate * more,
        generate=small.generate * longer,
        rank=small.rank * longer,
    )


def client_seconds() -> float:
    """Return the processor seconds that a caller spends on one call, at eight callers."""
    for each in read(HOPS)["hops"]:
        if (each["callers"], each["variant"]) == (CALLERS, "both"):
            return float(each["client_us"]) / 1e6
    raise LookupError(HOPS)


@dataclass(frozen=True, slots=True)
class Assumed:
    """Assumed figures, which no bench measures; each can be overridden."""

    deadline: float = 2.0
    """Deadline of callers in seconds: GATEWAY_DEFAULT_SECONDS."""
    start: float = 20.0
    """Seconds from the decision to add a pod to its first call: scheduling 1, image 10, process 4,
    probes 5.
    """
    start_triton: float = 40.0
    """Seconds from the decision to add a pod of Triton to its first call, with the models' image
    and loading. On a GPU, TensorRT's first engine takes minutes.
    """
    unknown: float = 33.0
    """Seconds until the last caller knows a new pod: the servers' connection age, and its jitter.
    """
    silent: float = 4.5
    """Seconds until callers give up a connection to a lost node (keepalive)."""
    replaced: float = 350.0
    """Seconds until Kubernetes replaces pods of a lost node: 50 s until it counts as unreachable,
    and the default toleration of 300 s.
    """
    nodes: int = 6
    scrape: float = 15.0
    """Scrape interval of Prometheus, and resolution of metrics-server, in seconds."""
    window: float = 60.0
    """Range of the triggers' queries, in seconds."""
    sync: float = 15.0
    """Interval of the autoscalers, in seconds."""
    cpu_price: float = 0.04
    """Euros an hour for a processor with its memory. An example: set your own price."""
    gpu_price: float = 0.60
    """Euros an hour for a small inference GPU. An example."""

    def faster(self, pace: float) -> "Assumed":
        """Return the assumptions with pods' durations divided by `pace`."""
        names = ("start", "start_triton", "unknown", "silent", "replaced")
        slow = (*names, "scrape", "window", "sync")
        return replace(self, **{name: getattr(self, name) / pace for name in slow})


SOURCES = {
    "deadline": (Origin.SETTING, "gateway.settings: default_seconds", "s"),
    "start": (Origin.ASSUMED, "no cluster was at hand", "s"),
    "start_triton": (Origin.ASSUMED, "no cluster was at hand", "s"),
    "unknown": (Origin.SETTING, "connection age of 30 s and gRPC's jitter of 10%", "s"),
    "silent": (Origin.SETTING, "docs/operate/limits.md: behind the gateway", "s"),
    "replaced": (Origin.ASSUMED, "Kubernetes' defaults", "s"),
    "nodes": (Origin.ASSUMED, "", ""),
    "scrape": (Origin.ASSUMED, "Prometheus' usual interval; metrics-server's default", "s"),
    "window": (Origin.SETTING, "deploy/k8s/components/autoscaling", "s"),
    "sync": (Origin.ASSUMED, "Kubernetes' default", "s"),
    "cpu_price": (Origin.ASSUMED, "an example", "EUR/h"),
    "gpu_price": (Origin.ASSUMED, "an example", "EUR/h"),
}


def listed(assumed: Assumed) -> list[Input]:
    """Return every input with its origin, for the result."""
    found = [
        Input(f"{kind}: {stage}", round(seconds, 6), "", Origin.MEASURED, source)
        for kind in KINDS
        for stage, seconds in asdict(work(kind)).items()
        for source in (ANSWERS if stage in _DIRECT else f"{ANSWERS}, {STAGES}",)
    ]
    found.append(Input("client", client_seconds(), "s", Origin.MEASURED, HOPS))
    for name, value in asdict(assumed).items():
        origin, source, unit = SOURCES[name]
        found.append(Input(name, value, unit, origin, source))
    return found


_DIRECT = {"gateway", "embed", "infer", "rest", "spread"}
