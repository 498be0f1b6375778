"""Faults of pods, containers, volumes and the node, under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Final

from tests.chaos.model import Report
from tests.cluster.kube import NAMESPACE, Kube, Refused, ready, restarts, until
from tests.cluster.parts.medium import install, open_for_business
from tests.cluster.parts.stage import SERVING, Stage
from tests.cluster.parts.under_load import UnderLoad, loaded

RECOVERY_SECONDS: Final = 240
STOPPED_SECONDS: Final = 60
HANGING_SECONDS: Final = 20


def faults(stage: Stage, report: Report) -> None:
    """Kill, delete, stop and misconfigure under load."""
    install(stage, report)
    open_for_business(stage)
    asyncio.run(play(stage, report))


async def play(stage: Stage, report: Report) -> None:
    """Run the faults one after another."""
    kube = stage.kube
    async with loaded(stage, report, "faults") as shop:
        for name in SERVING:
            what = f"kill -9 in {name}, one pod: the kubelet restarts it"
            await shop.step(what, lambda n=name: kill(stage, n), allowed=None)
        for name in ("gateway", "retriever"):
            what = f"the pod of {name} deleted, one pod: another takes its place"
            await shop.step(what, lambda n=name: delete(kube, n), allowed=None)
        what = f"the kubelet stopped for {STOPPED_SECONDS} s: 0 failed"
        await shop.step(what, lambda: stop_kubelet(stage))
        await shop.step("PostgreSQL's pod deleted", lambda: delete(kube, "postgres"), allowed=None)
        await shop.step("Milvus's pod deleted", lambda: delete(kube, "milvus"), allowed=None)
        await misplaced(shop, kube)


async def misplaced(shop: UnderLoad, kube: Kube) -> None:
    """Roll out what cannot start: the old pods serve on."""
    name = "an image that is not there: the roll-out stops, the old pod serves; 0 failed"
    await shop.step(name, lambda: bad_image(kube))
    name = "a setting that --check refuses in the init container: the old pod serves; 0 failed"
    await shop.step(name, lambda: bad_setting(kube))
    name = "a readiness probe that hangs: the roll-out stops, the old pod serves; 0 failed"
    await shop.step(name, lambda: hanging_probe(kube))


def kill(stage: Stage, name: str) -> None:
    """Kill the first process of a workload's container, and wait for its restart."""
    (pod,) = stage.kube.pods(name)
    before = restarts(pod)
    own = next(s for s in pod["status"]["containerStatuses"] if s["name"] == name)
    container = own["containerID"].partition("://")[2]
    os.kill(stage.node.processes(container)[0], signal.SIGKILL)

    def back() -> bool:
        (now,) = stage.kube.pods(name)
        return restarts(now) > before and ready(now)

    until(f"{name} is back", back, RECOVERY_SECONDS)


def delete(kube: Kube, name: str) -> None:
    """Delete a workload's pod without waiting, and wait for the next one."""
    (pod,) = kube.pods(name)
    kube.here("delete", "pod", pod["metadata"]["name"], "--wait=false")

    def back() -> bool:
        now = kube.pods(name)
        return bool(now) and all(
            each["metadata"]["uid"] != pod["metadata"]["uid"] and ready(each) for each in now
        )

    until(f"{name} is back", back, RECOVERY_SECONDS)


def stop_kubelet(stage: Stage) -> None:
    """Stop the kubelet for a while. The node becomes NotReady, its pods serve on."""
    stage.node.kubelet(signal.SIGSTOP)
    try:
        time.sleep(STOPPED_SECONDS)
    finally:
        stage.node.kubelet(signal.SIGCONT)

    def node_ready() -> bool:
        return all(map(ready, stage.kube.items("nodes", namespace="")))

    until("the node is ready", node_ready, RECOVERY_SECONDS)
    until("all pods are ready", lambda: _all_ready(stage.kube), RECOVERY_SECONDS)


def _all_ready(kube: Kube) -> bool:
    return all(ready(each) for name in SERVING for each in kube.pods(name))


def stuck(kube: Kube, name: str, why: str, seconds: float = 40) -> None:
    """Check that a roll-out stops with a new pod that is not ready, then undo it. Raise Refused."""
    try:
        until(f"{name}: {why}", lambda: why in kube.unready(), seconds)
    finally:
        kube.here("rollout", "undo", f"deployment/{name}")
        kube.rolled_out(f"deployment/{name}", RECOVERY_SECONDS)


def bad_image(kube: Kube) -> None:
    """Name an image that no registry has."""
    kube.here("set", "image", "deployment/gateway", "gateway=sightline/gateway:missing")
    stuck(kube, "gateway", "ImagePull")


def bad_setting(kube: Kube) -> None:
    """Set what the gateway refuses: its check fails, and the service is not started."""
    wrong = json.dumps({"data": {"GATEWAY_CATALOGS": "Not A Name"}})
    before = {each["metadata"]["uid"] for each in kube.pods("gateway")}
    name = config_map(kube, "gateway")
    found = kube.one("configmap", name)
    try:
        kube.here("patch", "configmap", name, "--patch", wrong)
        kube.here("rollout", "restart", "deployment/gateway")
        until("the check refuses the settings", lambda: "GATEWAY_CATALOGS" in said(kube), 60)
        new = [each for each in kube.pods("gateway") if each["metadata"]["uid"] not in before]
        states = [each["status"]["containerStatuses"][0]["state"] for each in new]
        if any("waiting" not in each for each in states):
            raise Refused(f"the gateway's container was started: {states}")
    finally:
        back = json.dumps({"data": {"GATEWAY_CATALOGS": found["data"]["GATEWAY_CATALOGS"]}})
        kube.here("patch", "configmap", name, "--patch", back)
        kube.here("rollout", "undo", "deployment/gateway")
        kube.rolled_out("deployment/gateway", RECOVERY_SECONDS)


def config_map(kube: Kube, name: str) -> str:
    """Return the name of the ConfigMap of a workload's settings."""
    spec = kube.one("deployment", name)["spec"]["template"]["spec"]
    found: str = spec["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    return found


def said(kube: Kube) -> str:
    """Return the logs of the checks of the gateway's settings."""
    selector = ("--selector=app.kubernetes.io/name=gateway", "--container=settings")
    done = kube.call("--namespace", NAMESPACE, "logs", *selector)
    return done.stdout + done.stderr


def hanging_probe(kube: Kube) -> None:
    """Give the gateway a readiness probe that never answers."""
    patch = (
        '{"spec":{"template":{"spec":{"containers":[{"name":"gateway","readinessProbe":'
        '{"grpc":null,"exec":{"command":["python","-c","import time; time.sleep(600)"]}}}]}}}}'
    )
    kube.here("patch", "deployment/gateway", "--patch", patch)
    try:
        until("a second pod of gateway runs", lambda: running(kube, "gateway") == 2, 60)
        time.sleep(HANGING_SECONDS)
        serving = [ready(each) for each in kube.pods("gateway")]
        if sorted(serving) != [False, True]:
            raise Refused(f"ready pods of gateway while a probe hangs: {serving}")
    finally:
        kube.here("rollout", "undo", "deployment/gateway")
        kube.rolled_out("deployment/gateway", RECOVERY_SECONDS)


def running(kube: Kube, name: str) -> int:
    """Return the number of a workload's pods whose containers run."""
    return sum(each["status"].get("phase") == "Running" for each in kube.pods(name))
