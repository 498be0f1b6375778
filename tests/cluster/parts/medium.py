"""The overlay `medium`, from nothing to an answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.chaos.model import Report
from tests.chaos.suite.shop import open_shop, shoppers
from tests.cluster import results
from tests.cluster.kube import NAMESPACE, Kube, restarts, until
from tests.cluster.parts.stage import START_SECONDS, Stage, images, rendered
from tests.contracts.k8s import Document, of, overlay

GIB = 2**30
INSTALLS = (
    "kubectl apply -k deploy/k8s/overlays/medium",
    "deploy/k8s/secrets.sh | kubectl create -f -",
    "kubectl -n sightline wait --for=condition=Available deployment --all --timeout=15m",
    "kubectl -n sightline get pods",
)
"""The commands that `install` stands for."""
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
PROMISED_CPUS, PROMISED_GIB = 4.0, 8.0
LOAD_SECONDS = 30
CHECKED = 6
"""Services and workers."""
MOST_OF_REQUEST = 0.5
"""Largest share of a request of memory in use, with 100 products: the promise is for 50,000."""
TRITON = "triton"
"""Its memory does not depend on the number of products."""


def medium(stage: Stage, report: Report) -> None:
    """Install it, load the wines through the Service and ask about a photo."""
    install(stage, report)
    began = time.monotonic()
    answer = asyncio.run(first_answer(stage))
    stage.open = True
    took = time.monotonic() - began
    report.add(
        "wines imported through the Service, a model trained and promoted, a photo answered",
        answer > 0,
        f"{took:.0f} s; {answer} products in the answer",
    )
    took = checks(stage.kube)
    report.add(
        "an init container checked the settings of each service and worker",
        len(took) == CHECKED,
        ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(took.items())),
    )
    asyncio.run(load(stage, report))


def checks(kube: Kube) -> dict[str, float]:
    """Return the seconds that each check of settings took, while all pods started at once."""
    found = {}
    for pod in kube.items("pods"):
        for each in pod["status"].get("initContainerStatuses", []):
            if each["name"] == "settings" and (ended := each["state"].get("terminated")):
                began, end = (
                    datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt")
                )
                name = pod["metadata"]["labels"]["app.kubernetes.io/name"]
                found[name] = (end - began).total_seconds()
    return found


async def load(stage: Stage, report: Report) -> None:
    """Compare what the containers use under load with what they request."""
    from tests.cluster.parts.under_load import loaded

    async with loaded(stage, report, "medium") as shop:
        first, began = processor(await asyncio.to_thread(stage.node.usage)), time.monotonic()
        what = f"{LOAD_SECONDS} s of 10 calls a second: 0 failed"
        await shop.step(what, lambda: time.sleep(LOAD_SECONDS))
        usage = await asyncio.to_thread(stage.node.usage)
        seconds = time.monotonic() - began
    cpus = {
        name: (each - first.get(name, 0.0)) / seconds for name, each in processor(usage).items()
    }
    used = memory(usage)
    given = requests(overlay("medium"))
    report.add(
        f"medium requests, and uses under load, at most {PROMISED_CPUS:.0f} CPUs",
        max(sum(cpus.values()), sum(cpu for cpu, _ in given.values())) <= PROMISED_CPUS,
        f"requests {sum(cpu for cpu, _ in given.values()):.2f}, uses {sum(cpus.values()):.2f}: "
        + ", ".join(f"{name} {each:.2f}" for name, each in sorted(cpus.items())),
    )
    total = sum(size for _, size in given.values())
    full = [
        name
        for name, size in used.items()
        if size > given[name][1] * (1 if name == TRITON else MOST_OF_REQUEST)
    ]
    report.add(
        f"medium requests at most {PROMISED_GIB:.0f} GiB, twice what its containers use under load",
        total <= PROMISED_GIB * GIB and not full,
        f"requests {total / GIB:.2f} GiB, uses {sum(used.values()) / GIB:.2f} GiB: "
        + ", ".join(
            f"{name} {size / 2**20:.0f} of {given[name][1] / 2**20:.0f} MiB"
            for name, size in sorted(used.items())
        ),
    )


def install(
    stage: Stage, report: Report, given: Sequence[Document] = (), name: str = "medium", **more: Any
) -> list[Document]:
    """Apply an overlay and wait until it is available, unless one is there. Return its documents.

    `given`: Secrets that deploy/k8s/secrets.sh does not make; `more`: fields of a kustomization.
    """
    documents = rendered(name, **more)
    if stage.installed:
        return documents
    stage.load_images(*images(documents))
    stage.define()
    report.say("images are loaded")
    began = time.monotonic()
    applied = stage.kube.apply(documents)
    stage.kube.apply(given)
    created = stage.secrets()
    available = stage.kube.available(START_SECONDS)
    for each in of(documents, "StatefulSet"):
        stage.kube.rolled_out(f"statefulset/{each}", 60)
    jobs = list(of(documents, "Job"))
    until("the migrations are complete", lambda: migrated(stage.kube, jobs), 60)
    took = time.monotonic() - began
    pods = stage.kube.items("pods")
    what = "".join(f" with {each}" for each in more.get("components", ()))
    report.add(
        f"{name}{what}: from nothing to all Deployments Available, migrations as Jobs",
        True,
        f"{took:.0f} s, {len(pods)} pods, {sum(map(restarts, pods))} restarts",
    )
    stage.installed = True
    if name == "medium" and not more:
        shown = stage.kube.here("get", "pods")
        results.store_transcript(
            [*zip(INSTALLS, (applied, created, available, shown), strict=True)]
        )
    return documents


def migrated(kube: Kube, jobs: list[str]) -> bool:
    """Return whether the Jobs succeeded."""
    return all(kube.one("job", each).get("status", {}).get("succeeded") for each in jobs)


def open_for_business(stage: Stage) -> None:
    """Load the wines and a model, unless they are there."""
    if not stage.open:
        asyncio.run(first_answer(stage))
        stage.open = True


async def first_answer(
    stage: Stage, gateway: str = "gateway", operators: str = "gateway-admin"
) -> int:
    """Load the wines and return the number of products in an answer to a photo. `gateway`,
    `operators`: Services."""
    async with stage.client(operators, 8609, timeout=60) as client:
        await open_shop(client)
    async with stage.client(gateway, 8600, timeout=30) as client:
        answer = await shoppers(client, 1)["photo"]()
    assert answer is not None
    return len(answer.results)


def memory(metrics: str) -> dict[str, float]:
    """Return the working set of each container in bytes, by the kubelet's metrics."""
    return _by_container("container_memory_working_set_bytes", metrics)


def processor(metrics: str) -> dict[str, float]:
    """Return the seconds of processor time of each container, by the kubelet's metrics."""
    return _by_container("container_cpu_usage_seconds_total", metrics)


def _by_container(metric: str, metrics: str) -> dict[str, float]:
    pattern = re.compile(
        rf'^{metric}{{container="([^"]+)",namespace="([^"]+)",pod="([^"]+)"}} ([0-9.e+]+)',
        re.MULTILINE,
    )
    found: dict[str, float] = {}
    for container, namespace, _, size in pattern.findall(metrics):
        if namespace == NAMESPACE:
            found[container] = found.get(container, 0.0) + float(size)
    return found


def requests(documents: list[Document]) -> dict[str, tuple[float, float]]:
    """Return what the pods of each workload request: CPUs, and bytes of memory."""
    found = {}
    for kind in ("Deployment", "StatefulSet"):
        for name, each in of(documents, kind).items():
            (container,) = each["spec"]["template"]["spec"]["containers"]
            asked, count = container["resources"]["requests"], each["spec"].get("replicas", 1)
            found[name] = (count * quantity(asked["cpu"]), count * quantity(asked["memory"]))
    return found


def quantity(text: str) -> float:
    """Return a quantity of Kubernetes as a number."""
    if text[-2:] in UNITS:
        return float(text[:-2]) * UNITS[text[-2:]]
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
