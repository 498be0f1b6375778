"""Autoscalers on a real cluster: what they see, and which sizes they choose."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kubernetes import client, config

from examples.wines.pictures.prometheus import started
from tests.chaos.model import NotMeasured
from tests.cluster.kube import NAMESPACE, TooLate, until
from tests.cluster.node import SUBNET
from tests.cluster.parts.stage import Stage
from tests.cluster.scaled import SCRAPE_SECONDS
from tests.cluster.standins import metrics
from tests.cluster.standins.mirror import Mirror
from tests.contracts.k8s import Document, of

LOOK_SECONDS: Final = 0.5
BLIND_SECONDS: Final = 120.0
"""Time for the first samples: rates need two."""


def scrape_jobs(documents: Sequence[Document], found: Path) -> list[Document]:
    """Return what the Prometheus Operator makes of the PodMonitors: a job for each endpoint.
    `found`: a file of the pods, by `targets`, as Debian's Prometheus cannot ask Kubernetes."""
    return [
        {
            "job_name": f"{name}/{end['port']}",
            "metrics_path": end["path"],
            "scrape_interval": f"{SCRAPE_SECONDS:.0f}s",
            "scrape_timeout": "4s",
            "file_sd_configs": [{"files": [str(found)], "refresh_interval": "2s"}],
            "relabel_configs": [
                *(
                    {"source_labels": [_label(key)], "regex": value, "action": "keep"}
                    for key, value in each["spec"]["selector"]["matchLabels"].items()
                ),
                {
                    "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                    "regex": end["port"],
                    "action": "keep",
                },
                {"source_labels": [_label(each["spec"]["jobLabel"])], "target_label": "job"},
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            ],
        }
        for name, each in of(list(documents), "PodMonitor").items()
        for end in each["spec"]["podMetricsEndpoints"]
    ]


def targets(pods: Sequence[Document]) -> list[Document]:
    """Return all ports of pods with the labels that Prometheus' own discovery gives them."""
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
            "labels": {
                "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
                "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                "__meta_kubernetes_pod_container_port_name": port.get("name", ""),
                **{_label(key): value for key, value in pod["metadata"].get("labels", {}).items()},
            },
        }
        for pod in pods
        if pod.get("status", {}).get("podIP") and pod["status"].get("phase") == "Running"
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]


def _label(key: str) -> str:
    return f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9]', '_', key)}"


class Sizes:
    """Wanted numbers of pods of each Deployment over time."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, str, int]] = []

    def look(self, deployments: Sequence[Document]) -> None:
        """Note the numbers that changed since the last look."""
        for each in deployments:
            meta, wanted = each["metadata"], each["spec"].get("replicas", 1)
            if meta["namespace"] == NAMESPACE and self.now().get(meta["name"]) != wanted:
                self.changes.append((time.monotonic(), meta["name"], wanted))

    def now(self) -> dict[str, int]:
        """Return the present numbers."""
        return {name: wanted for _, name, wanted in self.changes}

    def since(self, began: float, name: str) -> list[tuple[float, int]]:
        """Return the changes of a workload since a time, in seconds after it."""
        return [
            (at - began, wanted)
            for at, other, wanted in self.changes
            if other == name and at > began
        ]


class Watch:
    """The pods and Deployments of the cluster, for Prometheus and the metrics server."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        api = config.new_client_from_config(str(stage.kube.config))
        self.sizes, self.file = Sizes(), folder / "pods.json"
        self._pods = Mirror(client.CoreV1Api(api).list_pod_for_all_namespaces)
        self._deployments = Mirror(client.AppsV1Api(api).list_deployment_for_all_namespaces)
        self._write([])

    def labels(self) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """Return the labels of all pods, by namespace and name."""
        meta = [each["metadata"] for each in self._pods.all()]
        return {(one["namespace"], one["name"]): one.get("labels", {}) for one in meta}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the file of pods and the sizes current during the block."""
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(LOOK_SECONDS):
                self.sizes.look(self._deployments.all())
                self._write(targets(self._pods.all()))

        threading.Thread(target=look, daemon=True).start()
        try:
            yield
        finally:
            stop.set()

    def _write(self, found: Sequence[Document]) -> None:
        made, draft = json.dumps(found), self.file.with_suffix(".new")
        if not self.file.exists() or self.file.read_text() != made:
            draft.write_text(made)
            draft.replace(self.file)


@contextmanager
def scaler(
    stage: Stage, documents: Sequence[Document]
) -> Iterator[tuple[metrics.Prometheus, Sizes]]:
    """Run a Prometheus, the metrics APIs and the autoscalers during the block."""
    folder = stage.node.folder / "prometheus"
    folder.mkdir(exist_ok=True)
    watch = Watch(stage, folder)
    scaled = list(of(list(documents), "ScaledObject").values())
    known = metrics.queries(scaled)
    processor = metrics.Processor(stage.node.usage, watch.labels)
    processor.keep_current()
    every = dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{SCRAPE_SECONDS:.0f}s")
    jobs = scrape_jobs(documents, watch.file)
    with (
        watch.running(),
        started({"global": every, "scrape_configs": jobs}, folder) as number,
    ):
        prometheus = metrics.Prometheus(f"http://127.0.0.1:{number}")
        port = metrics.serve(
            f"{SUBNET}.1",
            folder,
            lambda path: metrics.answer(path, lambda: known, prometheus, processor),
        )
        try:
            scale(stage, port, scaled)
            yield prometheus, watch.sizes
        finally:
            for group in metrics.GROUPS:
                stage.kube.ask("delete", "apiservice", f"v1beta1.{group}", "--ignore-not-found")


def scale(stage: Stage, port: int, scaled: Sequence[Document]) -> None:
    """Create the metrics APIs and the autoscalers, and wait until these read their metrics. Raise
    NotMeasured."""
    stage.kube.apply(metrics.services(f"{SUBNET}.1", port))
    for group in metrics.GROUPS:
        stage.kube.ask(
            "wait", "--for=condition=Available", f"apiservice/v1beta1.{group}", "--timeout=60s"
        )
    stage.kube.apply([metrics.autoscaler(each) for each in scaled])
    try:
        until("all autoscalers read their metrics", lambda: not blind(stage), BLIND_SECONDS)
    except TooLate as error:
        raise NotMeasured(f"{error}: {blind(stage)}") from error


def blind(stage: Stage) -> dict[str, str]:
    """Return what each autoscaler says that cannot read its metrics."""
    return {
        each["metadata"]["name"]: said
        for each in stage.kube.items("hpa")
        if (said := _why_blind(each.get("status", {}).get("conditions", [])))
    }


def _why_blind(conditions: Sequence[Document]) -> str:
    found = [each for each in conditions if each["type"] == "ScalingActive"]
    if not found:
        return "not seen yet"
    return "" if found[0]["status"] == "True" else str(found[0]["message"])
