"""The overlay `small`, from nothing to an answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

from tests.chaos.model import Report
from tests.chaos.suite.shop import open_shop, shoppers
from tests.cluster.kube import NAMESPACE, Kube, restarts, until
from tests.cluster.parts.stage import START_SECONDS, Stage, images, rendered
from tests.contracts.k8s import Document, of

GIB = 2**30
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
PROMISED_GIB = 10.0


def small(stage: Stage, report: Report) -> None:
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
    used = memory(stage.node.usage())
    report.add(
        f"its pods fit {PROMISED_GIB:.0f} GiB",
        sum(used.values()) < PROMISED_GIB * GIB,
        f"{sum(used.values()) / GIB:.1f} GiB: "
        + ", ".join(f"{name} {size / 2**20:.0f} MB" for name, size in sorted(used.items())),
    )


def install(
    stage: Stage, report: Report, given: Sequence[Document] = (), **more: Any
) -> list[Document]:
    """Apply `small` and wait until it is available; nothing if it is there. Return its documents.

    `given`: Secrets that deploy/k8s/secrets.sh does not make; `more`: fields of a kustomization.
    """
    documents = rendered("small", **more)
    if stage.installed:
        return documents
    stage.load_images(*images(documents))
    stage.define()
    report.say("images are loaded")
    began = time.monotonic()
    stage.kube.apply(documents)
    stage.kube.apply(given)
    stage.secrets()
    stage.kube.available(START_SECONDS)
    for name in of(documents, "StatefulSet"):
        stage.kube.rolled_out(f"statefulset/{name}", 60)
    jobs = list(of(documents, "Job"))
    until("the migrations are complete", lambda: migrated(stage.kube, jobs), 60)
    took = time.monotonic() - began
    pods = stage.kube.items("pods")
    what = "".join(f" with {each}" for each in more.get("components", ()))
    report.add(
        f"small{what}: from nothing to all Deployments Available, migrations as Jobs",
        True,
        f"{took:.0f} s, {len(pods)} pods, {sum(map(restarts, pods))} restarts",
    )
    stage.installed = True
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


def memory(metrics: str) -> dict[str, int]:
    """Return the working set of each container in bytes, by the kubelet's metrics."""
    pattern = re.compile(
        r'^container_memory_working_set_bytes\{container="([^"]+)",namespace="([^"]+)",'
        r'pod="([^"]+)"\} ([0-9.e+]+)',
        re.MULTILINE,
    )
    found: dict[str, int] = {}
    for container, namespace, _, size in pattern.findall(metrics):
        if namespace == NAMESPACE:
            found[container] = found.get(container, 0) + int(float(size))
    return found


def requested(documents: list[Document], what: str) -> float:
    """Return what the pods request: CPUs, or bytes of memory."""
    total = 0.0
    for kind in ("Deployment", "StatefulSet"):
        for each in of(documents, kind).values():
            for container in each["spec"]["template"]["spec"]["containers"]:
                amount = quantity(container["resources"]["requests"][what])
                total += amount * each["spec"].get("replicas", 1)
    return total


def quantity(text: str) -> float:
    """Return a quantity of Kubernetes as a number."""
    if text[-2:] in UNITS:
        return float(text[:-2]) * UNITS[text[-2:]]
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
