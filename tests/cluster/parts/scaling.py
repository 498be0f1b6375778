"""Autoscaling: what the ScaledObjects stand for, on Kubernetes' own controller.

`tests.cluster.standins.metrics` makes the autoscalers that KEDA would make, and answers their
queries from a real Prometheus that scrapes the pods by the PodMonitor. A rush of photos and a rush
of requests without photos arrive on top of the usual calls. What happens is compared with what
lab/capacity simulates for the same load, thresholds and windows.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from statistics import mean
from typing import Any, Final

from PIL import Image

from examples.wines.catalogue import load_wines
from tests.chaos.model import NotMeasured, Report
from tests.chaos.suite.shop import PAGE, Ask, Load, shoppers
from tests.cluster import results
from tests.cluster.kube import ready
from tests.cluster.parts.autoscalers import Sizes, scaler
from tests.cluster.parts.medium import install, open_for_business
from tests.cluster.parts.stage import Stage, rendered
from tests.cluster.parts.under_load import RATES, SEED, UnderLoad, loaded
from tests.cluster.scaled import (
    AGE_SECONDS,
    MOST,
    Changes,
    Traffic,
    asked,
    patches,
    predicted,
    work_of,
)
from tests.cluster.standins import metrics
from tests.contracts.k8s import Document

USUAL_SECONDS, RUSH_SECONDS, AFTER_SECONDS = 40.0, 65.0, 95.0
RUSHES: Final = {
    "photos": ("embedder", {"large photo": 3.0}),
    "requests": ("gateway", {"product": 22.0, "user": 22.0}),
}
"""The workload that each rush makes grow, and its calls a second beside the usual ones."""
PIXELS: Final = (3_000, 2_000)
SHARE: Final = 0.5
"""Smallest part of an even share of the work that a new pod has after AGE_SECONDS."""
OFF: Final = 0.25
"""Largest difference from the simulation."""
SEEDS: Final = range(5)
COMPONENTS: Final = ["autoscaling", "monitoring"]


def scaling(stage: Stage, report: Report) -> None:
    """Let both rushes come. Raise NotMeasured."""
    stage.clear()
    changed = patches(rendered("medium", components=COMPONENTS))
    documents = install(stage, report, components=COMPONENTS, patches=changed)
    open_for_business(stage)
    with scaler(stage, documents) as (prometheus, sizes):
        seen = Watched(prometheus, sizes, documents)
        asyncio.run(rushes(stage, report, seen))
    results.store_curves(seen.curves)
    stage.clear()


@dataclass(slots=True)
class Watched:
    """What is seen of the autoscalers."""

    prometheus: metrics.Prometheus
    sizes: Sizes
    documents: Sequence[Document]
    curves: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Rush, change, and its time as measured and as simulated."""


def large_photos() -> Iterator[bytes]:
    """Yield photos of six megapixels that no cache knows."""
    with Image.open(load_wines()[0].image) as small:
        large = small.convert("RGB").resize(PIXELS)
    kept = BytesIO()
    large.save(kept, "WEBP", quality=80)
    return (kept.getvalue() + b"%012d" % number for number in itertools.count())


async def rushes(stage: Stage, report: Report, seen: Watched) -> None:
    """Let both rushes come, one after another."""
    photos = await asyncio.to_thread(large_photos)
    async with (
        stage.client("gateway", 8600, timeout=10) as sightline,
        loaded(stage, report, "scaling") as shop,
    ):

        async def by_large_photo() -> Any:
            return await sightline.recommend(image=next(photos), page_size=PAGE)

        asks: dict[str, Ask] = {**shoppers(sightline, SEED + 1), "large photo": by_large_photo}
        for name in RUSHES:
            await rush(stage, report, seen, name, asks, shop)


async def rush(
    stage: Stage,
    report: Report,
    seen: Watched,
    name: str,
    asks: Mapping[str, Ask],
    shop: UnderLoad,
) -> None:
    """Let a rush come and go beside the usual calls, and compare it with its simulation."""
    grows, rates = RUSHES[name]
    before, first = seen.sizes.now(), len(shop.load.got)
    usual = await traffic(stage, sum(RATES.values()), USUAL_SECONDS)
    more = Load({kind: asks[kind] for kind in rates}, rates)
    began = time.monotonic()
    async with more.running():
        rate = sum(RATES.values()) + sum(rates.values())
        rushed = await traffic(stage, rate, RUSH_SECONDS)
        await shares(stage, report, seen, name)
    lasted = time.monotonic() - began
    await asyncio.sleep(AFTER_SECONDS)
    failed = [each for each in (*more.got, *shop.load.got[first:]) if each.error]
    report.add(
        f"a rush of {name}, and the removal of its pods: 0 failed",
        not failed,
        f"{len(more.got)} calls beside the usual ones, {len(failed)} failed",
    )
    grew = grown(seen.sizes, before, began)
    report.add(
        f"a rush of {name} scales the {grows} alone",
        grew == [grows],
        f"grew: {', '.join(grew) or 'nothing'}",
    )
    compare(report, seen, name, (usual, rushed), began, lasted)


async def shares(stage: Stage, report: Report, seen: Watched, name: str) -> None:
    """Check that the newest pod has its share of the work after AGE_SECONDS. Raise NotMeasured."""
    grows, _ = RUSHES[name]
    pods = [each for each in stage.kube.pods(grows) if ready(each)]
    if len(pods) < 2:
        raise NotMeasured(f"the {grows} has one pod in the rush of {name}: {seen.sizes.changes}")
    newest = max(pods, key=lambda each: each["metadata"]["creationTimestamp"])["metadata"]["name"]
    await asyncio.sleep(AGE_SECONDS)
    rate = f'rate(sightline_call_seconds_total{{service="{grows}",pod="%s"}}[20s])'
    mine = await asyncio.to_thread(seen.prometheus.value, f"sum({rate % newest})")
    every = await asyncio.to_thread(
        seen.prometheus.value, f'sum(rate(sightline_call_seconds_total{{service="{grows}"}}[20s]))'
    )
    share = (mine or 0.0) / (every or 1.0) * len(pods)
    report.add(
        f"a rush of {name}: a new pod has its share of the work",
        share >= SHARE,
        f"{share:.2f} of an even share, {AGE_SECONDS:.0f} s later; {len(pods)} pods",
    )


def grown(sizes: Sizes, before: Mapping[str, int], began: float) -> list[str]:
    """Return the workloads that got pods since a time. `before`: their sizes then."""
    found = set()
    for workload in MOST:
        size = before.get(workload, 1)
        for _, wanted in sizes.since(began, workload):
            if wanted > size:
                found.add(workload)
            size = wanted
    return sorted(found)


# Beside the simulation


async def traffic(stage: Stage, rate: float, seconds: float) -> Traffic:
    """Return the calls of the next seconds, and their mean work by the pods' own metrics."""
    first = await asyncio.to_thread(totals, stage)
    began = time.monotonic()
    await asyncio.sleep(seconds)
    last = await asyncio.to_thread(totals, stage)
    calls = rate * (time.monotonic() - began)
    spent = {key: (value - first.get(key, 0.0)) / calls for key, value in last.items()}
    return Traffic(rate, work_of(spent))


_CALLS = re.compile(r'^sightline_call_seconds_total\{service="(\w+)"\} ([0-9.e+-]+)', re.MULTILINE)
_INTAKE = re.compile(
    r'^sightline_stage_seconds_sum\{service="embedder",stage="intake"\} ([0-9.e+-]+)', re.MULTILINE
)


def totals(stage: Stage) -> dict[str, float]:
    """Return the call seconds of each service so far, and the seconds of decoding as "intake"."""
    found = dict.fromkeys(("gateway", "retriever", "ranker", "embedder", "intake"), 0.0)
    for name in ("gateway", "retriever", "ranker", "embedder"):
        for pod in stage.kube.pods(name):
            ports = [one for each in pod["spec"]["containers"] for one in each["ports"]]
            (port,) = [one["containerPort"] for one in ports if one["name"] == "metrics"]
            address = pod.get("status", {}).get("podIP")
            if not address or not ready(pod):
                continue
            with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
            for service, value in _CALLS.findall(text):
                found[service] += float(value)
            for value in _INTAKE.findall(text):
                found["intake"] += float(value)
    return found


def compare(
    report: Report,
    seen: Watched,
    name: str,
    calls: tuple[Traffic, Traffic],
    began: float,
    lasted: float,
) -> None:
    """Compare the times of each size with those that the simulation predicts."""
    grows, _ = RUSHES[name]
    found = seen.sizes.since(began, grows)
    seconds = (USUAL_SECONDS, lasted, AFTER_SECONDS)
    question = asked(seen.documents, *calls, seconds, SEEDS)
    runs = [each[grows] for each in predicted(question)]
    for way, since in (("up", 0.0), ("down", lasted)):
        for wanted in range(2, MOST[grows] + 1) if way == "up" else range(MOST[grows] - 1, 0, -1):
            measured = _first(found, wanted, since)
            each = [at for run in runs if (at := _first(run, wanted, since)) is not None]
            expected = mean(each) if len(each) > len(runs) / 2 else None
            if measured is None and expected is None:
                continue
            well = (
                measured is not None
                and expected is not None
                and abs(measured - expected) <= OFF * expected
            )
            report.add(
                f"a rush of {name}: {wanted} pods of the {grows} as predicted, going {way}",
                well,
                f"after {_seconds(measured)}, predicted {_seconds(expected)}",
            )
            change = f"{grows}: {wanted} after the rush's {'begin' if way == 'up' else 'end'}"
            seen.curves.append((name, change, _seconds(measured), _seconds(expected)))


def _first(changes: Changes, wanted: int, since: float) -> float | None:
    return next((at - since for at, size in changes if at >= since and size == wanted), None)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"
