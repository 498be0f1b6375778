"""Roll-outs under load: no call may fail."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from functools import partial
from typing import Final

from tests.chaos.model import Report
from tests.cluster.kube import NAMESPACE, Kube, ready, until
from tests.cluster.node import hub
from tests.cluster.parts.medium import install, open_for_business
from tests.cluster.parts.stage import SERVING, Stage, rendered
from tests.cluster.parts.under_load import loaded
from tests.contracts.k8s import of

ROLL_SECONDS: Final = 300
NEW: Final = "0.0.0-next"
"""Tag of the same image, as a new version."""
SERVICES: Final = {
    "embedder": ("embedder",),
    "retriever": ("retriever", "retriever-worker"),
    "ranker": ("ranker", "ranker-worker"),
    "gateway": ("gateway",),
}
"""Workloads of each service."""


def rollouts(stage: Stage, report: Report) -> None:
    """Roll out new versions, restart, evict and migrate under load."""
    install(stage, report)
    open_for_business(stage)
    asyncio.run(roll(stage, report))


async def roll(stage: Stage, report: Report) -> None:
    """Run the steps."""
    kube = stage.kube
    async with loaded(stage, report, "rollouts") as shop:
        for service, workloads in SERVICES.items():
            name = f"a new version of {service}: 0 failed"
            await shop.step(name, lambda w=workloads: new_version(stage, w))
        await shop.step("a restart of every service: 0 failed", lambda: restart(kube))
        await shop.step("the migrations again: 0 failed", lambda: migrate(kube))
        await shop.step("a second key of the gateway's tokens: 0 failed", lambda: add_key(kube))
        report.say("two pods of each service")
        await asyncio.to_thread(scale, kube, 2)
        name = "every pod of a service evicted, within the budgets: 0 failed"
        await shop.step(name, lambda: drain(kube))
    await asyncio.to_thread(scale, kube, 1)


def new_version(stage: Stage, workloads: tuple[str, ...]) -> None:
    """Give workloads another tag of their images, and wait for the roll-outs."""
    for name in workloads:
        (container,) = stage.kube.one("deployment", name)["spec"]["template"]["spec"]["containers"]
        repository = container["image"].partition(":")[0]
        image = f"{repository}:{NEW}"
        stage.node.ctr("images", "tag", "--force", hub(container["image"]), hub(image))
        stage.kube.here("set", "image", f"deployment/{name}", f"{name}={image}")
    for name in workloads:
        stage.kube.rolled_out(f"deployment/{name}", ROLL_SECONDS)


def restart(kube: Kube) -> None:
    """Restart all Deployments at once."""
    kube.here("rollout", "restart", "deployment")
    for each in kube.items("deployments"):
        kube.rolled_out(f"deployment/{each['metadata']['name']}", ROLL_SECONDS)


def migrate(kube: Kube) -> None:
    """Delete the Jobs and apply them again."""
    jobs = of(rendered("medium"), "Job")
    for name in jobs:
        kube.here("delete", "job", name, "--ignore-not-found")
    kube.apply(list(jobs.values()))
    for name in jobs:
        kube.here("wait", "--for=condition=Complete", f"job/{name}", "--timeout=180s", seconds=240)


def add_key(kube: Kube) -> None:
    """Put a new key before the one of the gateway's tokens, and restart the gateway."""
    found = kube.one("secret", "gateway-token-keys")
    keys = base64.b64decode(found["data"]["tokens.keys"]).decode()
    more = base64.b64encode(f"{secrets.token_hex(32)}\n{keys}".encode()).decode()
    patch = json.dumps({"data": {"tokens.keys": more}})
    kube.here("patch", "secret", "gateway-token-keys", "--patch", patch)
    kube.here("rollout", "restart", "deployment/gateway")
    kube.rolled_out("deployment/gateway", ROLL_SECONDS)


def scale(kube: Kube, number: int) -> None:
    """Set the number of pods of each service."""
    for name in SERVING:
        kube.here("scale", f"deployment/{name}", f"--replicas={number}")
    for name in SERVING:
        kube.rolled_out(f"deployment/{name}", ROLL_SECONDS)


def drain(kube: Kube) -> None:
    """Evict every pod that serves, each as soon as its budget allows, as `kubectl drain` does."""
    for name in SERVING:
        for pod in [each["metadata"]["name"] for each in kube.pods(name)]:
            until(f"{pod} may be evicted", partial(evicted, kube, pod), ROLL_SECONDS)
    for name in SERVING:
        until(f"{name} has two ready pods", lambda n=name: _ready(kube, n) >= 2, ROLL_SECONDS)


def evicted(kube: Kube, pod: str) -> bool:
    """Ask to evict a pod. Return whether the budget allowed it."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    meta = {"name": pod, "namespace": NAMESPACE}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
    asked = kube.call("create", "--raw", path, "--filename=-", given=json.dumps(eviction))
    return asked.returncode == 0


def _ready(kube: Kube, name: str) -> int:
    return sum(map(ready, kube.pods(name)))
